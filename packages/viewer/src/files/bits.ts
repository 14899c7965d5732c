/** Yes and no, many of them, as text. */

/** Ones and zeros, eight to a byte, in base 64. */
export function encodeBits(bits: Uint8Array): string {
  const bytes = new Uint8Array(Math.ceil(bits.length / 8));
  bits.forEach((bit, i) => {
    if (bit) bytes[i >> 3]! |= 1 << (i & 7);
  });
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

/** Undefined when the text is of another number of bits. */
export function decodeBits(text: string, count: number): Uint8Array | undefined {
  const bytes = atob(text);
  if (bytes.length !== Math.ceil(count / 8)) return undefined;
  return Uint8Array.from({ length: count }, (_, i) => (bytes.charCodeAt(i >> 3) >> (i & 7)) & 1);
}
