/** Pictures that others are started from: each looked at and hashed once, however many items name it. */
import { startPictureHash } from '../start-picture.js';

export interface StartPicture {
  readonly path: string;
  readonly sha256: string;
}

export type StartOf = (path: string) => Promise<StartPicture>;

/** Throws a CheckpointError for what is no picture; pixels are read when they are drawn from. */
export function startOpener(): StartOf {
  const known = new Map<string, Promise<StartPicture>>();
  return (path) => {
    let start = known.get(path);
    if (!start) {
      start = startPictureHash(path).then((sha256) => ({ path, sha256 }));
      start.catch(() => undefined); // whoever asks gets it
      known.set(path, start);
    }
    return start;
  };
}
