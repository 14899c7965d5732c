/** Says what a file is that was meant to be safetensors and is not, and what to do about it. */

const CONVERT =
  'It may run code when loaded, so this engine never opens it: convert it to safetensors first, on a machine you ' +
  "trust, for example with diffusers' scripts/convert_original_stable_diffusion_to_diffusers.py --to_safetensors.";

const DOWNLOAD = 'Download the file itself.';

interface Kind {
  readonly starts: readonly string[];
  /** Where they are looked for; at the beginning by default. */
  readonly at?: number;
  readonly is: string;
  readonly advice: string;
}

const KINDS: readonly Kind[] = [
  { starts: ['PK\x03\x04', 'PK\x05\x06'], is: 'a zip archive, such as a PyTorch .ckpt, .pt or .bin', advice: CONVERT },
  { starts: ['\x80\x02', '\x80\x03', '\x80\x04', '\x80\x05'], is: 'a Python pickle (.ckpt)', advice: CONVERT },
  // PyTorch before 0.1.10: pickles in a tar archive, which is known by a word in its first entry.
  { starts: ['ustar'], at: 257, is: 'a tar archive, such as an early PyTorch .ckpt', advice: CONVERT },
  { starts: ['GGUF'], is: 'a GGUF file', advice: 'Get the same model as safetensors, or convert it.' },
  {
    starts: ['version https://git-lfs'],
    is: 'a git-lfs pointer, not the file it points to',
    advice: 'Run "git lfs pull" in the folder, or download the file itself.',
  },
  { starts: ['<!doctype', '<html', '<?xml', '<head'], is: 'a web page, probably an error page', advice: DOWNLOAD },
  { starts: ['\x89HDF'], is: 'an HDF5 file (Keras)', advice: 'Get the same model as safetensors.' },
  { starts: ['\x1f\x8b\x08'], is: 'a gzip archive', advice: 'Unpack it first.' },
  { starts: ['\x89PNG', '\xff\xd8\xff', 'RIFF'], is: 'a picture', advice: 'Name the model file instead.' },
  { starts: ['%PDF'], is: 'a PDF', advice: 'Name the model file instead.' },
  {
    starts: ['{"', '{}', '{ ', '{\t', '{\r', '{\n'],
    is: 'a JSON text',
    advice: 'Name the .safetensors file, or the folder, instead.',
  },
];

/** As many bytes as sniff needs. */
export const SNIFF_BYTES = 264;

/** What the file is by its first bytes, if that is known. */
export function sniff(start: Uint8Array): Pick<Kind, 'is' | 'advice'> | undefined {
  const text = String.fromCharCode(...start.subarray(0, SNIFF_BYTES));
  const lower = text.trimStart().toLowerCase();
  return KINDS.find((kind) =>
    kind.starts.some((s) => text.startsWith(s, kind.at) || (s.startsWith('<') && lower.startsWith(s))),
  );
}
