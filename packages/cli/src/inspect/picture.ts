/** Pictures, from what was written into them by us, by A1111 and its many relatives, or by ComfyUI. */
import {
  CheckpointError,
  type ComfyUiPicture,
  type PngText,
  parseConfigJson,
  parseInfotext,
  readComfyUiPrompt,
  readComfyUiWorkflow,
  readPngText,
  SoupError,
  type Source,
} from '@diffusion-soup/core';
import { readExifTexts } from '../image/exif-texts.js';
import { printable } from '../text.js';

export interface InspectedPicture {
  readonly kind: 'picture';
  readonly path: string;
  readonly width: number;
  readonly height: number;
  /** Which programs' texts it has. */
  readonly from: readonly ('Diffusion Soup' | 'A1111' | 'ComfyUI')[];
  readonly parameters?: {
    readonly prompt: string;
    readonly negativePrompt: string;
    readonly settings: Readonly<Record<string, string>>;
  };
  /** Ours: the recipe, the settings and the adapter. */
  readonly soup?: unknown;
  readonly comfy?: ComfyUiPicture;
  readonly workflow?: { readonly nodes: number };
  readonly other: Readonly<Record<string, string>>;
}

/** A PNG. */
export const inspectPng = async (path: string, source: Source): Promise<InspectedPicture> =>
  describePicture(path, await readPngText(source));

/** A JPEG, WebP or AVIF, of which the header is read. */
export async function inspectExif(path: string): Promise<InspectedPicture> {
  const { default: sharp } = await import('sharp');
  const found = await sharp(path, { limitInputPixels: false })
    .metadata()
    .catch((error: unknown) => {
      const reason = error instanceof Error ? error.message : String(error);
      throw new CheckpointError(`${printable(path)} cannot be read as a picture: ${printable(reason)}.`, {
        file: path,
      });
    });
  const { width, height, exif } = found;
  return describePicture(path, { width, height, texts: new Map(Object.entries(exif ? readExifTexts(exif) : {})) });
}

function describePicture(path: string, { width, height, texts }: PngText): InspectedPicture {
  const soup = json(texts.get('diffusion_soup'));
  const infotext = texts.get('parameters');
  const comfy = readComfyUiPrompt(texts.get('prompt') ?? '');
  const workflow = readComfyUiWorkflow(texts.get('workflow') ?? '');
  const known = [
    ...(soup === undefined ? [] : ['diffusion_soup']),
    ...(infotext === undefined ? [] : ['parameters']),
    ...(comfy ? ['prompt'] : []),
    ...(workflow ? ['workflow'] : []),
  ];
  return {
    ...{ kind: 'picture', path, width, height },
    from: [
      ...(soup === undefined ? [] : (['Diffusion Soup'] as const)),
      ...(infotext === undefined || soup !== undefined ? [] : (['A1111'] as const)),
      ...(comfy || workflow ? (['ComfyUI'] as const) : []),
    ],
    ...(infotext !== undefined && { parameters: parametersOf(infotext) }),
    ...(soup !== undefined && { soup }),
    ...(comfy && { comfy }),
    ...(workflow && { workflow }),
    other: Object.fromEntries([...texts].filter(([keyword]) => !known.includes(keyword))),
  };
}

function parametersOf(text: string): NonNullable<InspectedPicture['parameters']> {
  const { prompt, negativePrompt, settings } = parseInfotext(text);
  return { prompt, negativePrompt, settings: Object.fromEntries(settings) };
}

function json(text: string | undefined): unknown {
  if (text === undefined) return undefined;
  try {
    return parseConfigJson(text);
  } catch (error) {
    if (error instanceof SoupError) return undefined;
    throw error;
  }
}
