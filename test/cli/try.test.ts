import { writeFileSync } from 'node:fs';
import { it } from 'vitest';
import { contactSheet } from '../../packages/cli/src/image/contact-sheet.js';
import { encodePng } from '../../packages/cli/src/image/png.js';
const pic = (size: number, hue: number) => {
  const pixels = new Uint8Array(size * size * 4);
  for (let y = 0; y < size; y++) for (let x = 0; x < size; x++) pixels.set([(x * 255) / size, (y * 255) / size, hue, 255], (y * size + x) * 4);
  return { width: size, height: size, pixels };
};
it('shows', async () => {
  for (const size of [128, 512]) {
    const s = await contactSheet({
      title: 'Diffusion Soup: noto + twemoji (0.5, 50%) & "fluent" @ seed 42',
      columns: ['smiling face with sunglasses', 'Pizza', 'rocket', 'house with garden and a really long description of jumping foxes quickly'],
      rows: ['soup', 'noto', 'twemoji-v2.safetensors', 'ABCDEFGHIJKLMNOPQRSTUVWXYZ 0123456789'],
      pictures: [0, 1, 2, 3].map((r) => [0, 1, 2, 3].map((c) => (r === 2 && c === 1 ? undefined : pic(size, r * 60 + c * 15)))),
    });
    writeFileSync(`/tmp/sheet${size}.png`, encodePng(s, {}));
  }
  const t = await contactSheet({
    columns: ['abcdefghijklmnopqrstuvwxyz', 'ABCDEFGHIJKLM NOPQRSTUVWXYZ', '0123456789 .,:;!?\'"`-–— _+=×*/\\|()[]{}<>~^#%&$@°·…', 'Été Ångström naïve 日本 ✓ The quick brown fox jumps over the lazy dog'],
    rows: [], pictures: [[0, 1, 2, 3].map((c) => pic(440, c))],
  });
  writeFileSync('/tmp/font.png', encodePng({ ...t, height: 170, pixels: t.pixels.subarray(0, t.width * 170 * 3) }, {}));
});
