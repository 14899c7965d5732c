/**
 * What a measurement says, as data: the command line makes a page, JSON and CSV of it, the other front ends may show it
 * as they like. Nothing in it changes from run to run: no dates, no paths.
 */

export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

export interface Report {
  readonly type: 'soup-lab';
  /** The subcommand: "fidelity". */
  readonly kind: string;
  readonly title: string;
  /** The findings in plain sentences. */
  readonly summary: readonly string[];
  /** What makes it again. */
  readonly command: string;
  /** All that decides the numbers: seeds, steps, models by content. */
  readonly setup: Readonly<Record<string, Json>>;
  readonly sections: readonly Section[];
  /** Every number. */
  readonly data: Json;
}

export interface Section {
  readonly title: string;
  readonly blocks: readonly Block[];
}

export type Block =
  | { readonly type: 'text'; readonly text: string }
  | {
      readonly type: 'table';
      readonly caption?: string;
      readonly columns: readonly string[];
      readonly rows: readonly (readonly (string | number)[])[];
    }
  | { readonly type: 'chart'; readonly chart: Chart }
  | {
      readonly type: 'pictures';
      readonly caption?: string;
      readonly columns: readonly string[];
      readonly rows: readonly string[];
      readonly cells: readonly (readonly (ReportPicture | undefined)[])[];
    };

export interface ReportPicture {
  readonly title: string;
  /** By which its bytes are found. */
  readonly id: string;
}

export type Chart = LineChart | BarChart | HeatMap;

export interface ChartPoint {
  readonly x: number;
  readonly y: number;
  /** An interval around y. */
  readonly low?: number;
  readonly high?: number;
}

export interface LineChart {
  readonly kind: 'line';
  readonly title: string;
  readonly x: { readonly label: string; readonly ticks?: readonly { readonly at: number; readonly label: string }[] };
  /** By default the axis begins at 0 and ends above the largest value. */
  readonly y: { readonly label: string; readonly from?: number; readonly to?: number };
  readonly series: readonly { readonly name: string; readonly points: readonly ChartPoint[] }[];
}

export interface BarChart {
  readonly kind: 'bars';
  readonly title: string;
  readonly y: { readonly label: string };
  /** Bars of one name have one colour; the names are the legend. */
  readonly groups: readonly {
    readonly name: string;
    readonly bars: readonly {
      readonly name: string;
      readonly value: number;
      readonly low?: number;
      readonly high?: number;
    }[];
  }[];
}

export interface HeatMap {
  readonly kind: 'heat';
  readonly title: string;
  /** What the numbers are. */
  readonly label: string;
  readonly rows: readonly string[];
  readonly columns: readonly string[];
  readonly values: readonly (readonly (number | undefined)[])[];
}
