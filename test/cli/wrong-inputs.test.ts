/**
 * Wrong commands, configs and files through the command line: each is refused with its exit code and a message that
 * says what was found, without a stack trace, in JSON when that was asked for; and nothing is written.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, renameSync, truncateSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { copyModel, scratch, soup } from '../support/cli.ts';
import { PANTRY, REFERENCE } from '../support/files.ts';

// On a machine that has never run them, drivers take minutes to compile the shaders.
vi.setConfig({ testTimeout: 900_000 });

const bad = scratch();
const out = scratch();
const SD15 = `${REFERENCE}/sd15-tiny`;
const SD21 = `${REFERENCE}/sd21-tiny`;
const UNET = 'unet/diffusion_pytorch_model.safetensors';

/** A copy of a model, with something done to it. */
function spoilt(name: string, spoil: (folder: string) => void, from = `${PANTRY}/noto`): void {
  copyModel(from, bad.in(name));
  spoil(bad.in(name));
}

beforeAll(() => {
  copyModel(`${PANTRY}/base`, bad.in('base'));
  mkdirSync(bad.in('empty'));
  writeFileSync(bad.in('a-file.txt'), 'no picture, no model');
  spoilt('cut', (folder) => truncateSync(`${folder}/${UNET}`, 5_000_000));
  spoilt('no-header', (folder) => writeFileSync(`${folder}/${UNET}`, 'this is not safetensors at all'));
  spoilt('bad-json', (folder) => writeFileSync(`${folder}/unet/config.json`, '{"sample_size": 16,'));
  spoilt('strange-block', (folder) => {
    const file = `${folder}/unet/config.json`;
    writeFileSync(file, readFileSync(file, 'utf8').replace('"CrossAttnDownBlock2D"', '"ResnetDownsampleBlock2D"'));
  });
  spoilt('pickle', (folder) => renameSync(`${folder}/${UNET}`, `${folder}/unet/diffusion_pytorch_model.bin`));
  spoilt('config-is-folder', (folder) => {
    renameSync(`${folder}/unet/config.json`, `${folder}/unet/old.json`);
    mkdirSync(`${folder}/unet/config.json`);
  });
  spoilt('pipe', (folder) => {
    renameSync(`${folder}/${UNET}`, `${folder}/unet/old`);
    execFileSync('mkfifo', [`${folder}/${UNET}`]);
  });
  spoilt('foreign-pipeline', (folder) => {
    writeFileSync(`${folder}/model_index.json`, '{"_class_name": "FluxPipeline"}');
  });
  spoilt(
    'more-layers',
    (folder) => {
      const file = `${folder}/text_encoder/config.json`;
      const { num_hidden_layers: layers, ...config } = JSON.parse(readFileSync(file, 'utf8'));
      writeFileSync(file, JSON.stringify({ ...config, num_hidden_layers: layers - 1 }));
    },
    `${PANTRY}/base`,
  );
  spoilt('unknown-golden', (folder) => writeFileSync(`${folder}/golden-controlnet.safetensors`, ''), SD15);
});
afterAll(() => {
  expect(out.files()).toEqual([]);
  bad.remove();
  out.remove();
});

type Case = readonly [string, number, RegExp, readonly string[]];
const draw = (...more: string[]) => ['generate', 'noto', '-p', 'rocket', '--steps', '1', '-o', out.path, ...more];
const merge = (...more: string[]) => ['merge', ...more, '-o', out.in('merged')];
const drawWith = (model: string) => ['generate', bad.in(model), '-p', 'x', '-o', out.path];

const usage: Case[] = [
  ['an unknown command', 2, /unknown command 'generat' \(Did you mean generate\?\)/, ['generat']],
  ['an unknown option', 2, /unknown option '--sise' \(Did you mean --size\?\)/, draw('--sise', '128')],
  ['no model', 2, /missing required argument 'model'/, ['generate', '-p', 'x']],
  ['no prompt', 2, /no prompt/, ['generate', 'noto', '-o', out.path]],
  ['an option without its value', 2, /argument missing/, ['generate', 'noto', '-p']],
  ['a seed that is a word', 2, /whole number from 0 to 18446744073709551615/, draw('--seed', 'lucky')],
  ['a negative seed', 2, /whole number from 0/, draw('--seed', '-1')],
  ['a seed beyond 64 bits', 2, /whole number from 0/, draw('--seed', '18446744073709551616')],
  ['a size of nothing', 2, /such as 512 or 768x512/, draw('--size', '0')],
  ['half a size', 2, /such as 512 or 768x512/, draw('--size', '128x')],
  ['a size between latents', 2, /width is 100; this model draws multiples of 8, such as 104/, draw('--size', '100')],
  ['no steps', 2, /whole number from 1 to 1000/, draw('--steps', '0')],
  ['half a step', 2, /whole number from 1 to 1000/, draw('--steps', '1.5')],
  ['too many pictures', 2, /whole number from 1 to 64/, draw('--count', '65')],
  ['guidance in words', 2, /Give a number, such as 7.5/, draw('--guidance', 'strong')],
  ['a misspelt sampler', 2, /there is no sampler "eulr".*Did you mean euler\?/, draw('--sampler', 'eulr')],
  ['more layers skipped than there are', 2, /clip skip is 99/, draw('--clip-skip', '99')],
  ['weights that are no numbers', 2, /such as 2,1,1/, draw('--weights', '1,x')],
  ['too many weights', 2, /there are 1 ingredient but 2 weights/, draw('--weights', '1,2')],
  ['weights that cancel out', 2, /add up to 0/, ['generate', 'noto+ink', '-p', 'x', '--weights', '1,-1']],
  ['an infinite weight', 2, /such as 2,1,1/, draw('--weights', 'Infinity')],
  ['a weight in words', 2, /the weight of noto is "two"/, ['generate', 'noto:two+ink', '-p', 'x']],
  ['an ingredient without a name', 2, /an ingredient without a name/, ['generate', 'noto++ink', '-p', 'x']],
  ['weights given twice', 2, /give them once/, ['generate', 'noto:2+ink', '-p', 'x', '--weights', '1,1']],
  ['a URL', 2, /is a URL; download the model first/, ['generate', 'https://example.com/model', '-p', 'x']],
  ['an empty name', 2, /--out is empty/, ['generate', 'noto', '-p', 'x', '-o', '']],
  ['another picture format', 2, /png only/, draw('--format', 'jpeg')],
  ['a file of another format', 2, /png only/, ['generate', 'noto', '-p', 'x', '-o', out.in('a.jpg')]],
  ['strength without a picture', 2, /add --image/, draw('--strength', '0.5')],
  ['too much strength', 2, /strength is 2; give a number above 0, up to 1/, draw('--strength', '2', '--image', 'PNG')],
  ['memory without a unit', 2, /such as 6GB/, draw('--memory', '6')],
  ['an unknown precision', 2, /Allowed choices are auto, f32, f16/, draw('--precision', 'f64')],
  ['an unknown noise generator', 2, /Allowed choices are cpu, cuda/, draw('--noise', 'mps')],
  ['a merge to nowhere', 2, /no place for the soup: add --out/, ['merge', 'noto', 'ink']],
  ['a merge into its ingredient', 2, /lie in each other/, ['merge', `${PANTRY}/noto`, 'ink', '-o', `${PANTRY}/noto/x`]],
];

const files: Case[] = [
  ['a folder that is not there', 3, /no folder notto.*Did you mean noto\?/, ['generate', 'notto', '-p', 'x']],
  ['a file as a model', 3, /is a UNet alone, in diffusers' names/, ['generate', `${PANTRY}/noto/${UNET}`, '-p', 'x']],
  ['an empty folder', 3, /has neither model_index.json nor/, drawWith('empty')],
  ['weights cut short', 3, /noto|cut/, drawWith('cut')],
  ['weights that are something else', 3, /no-header/, drawWith('no-header')],
  ['weights cut short, merged', 3, /cut/, merge(bad.in('cut'), 'ink')],
  ['a broken config', 3, /unet\/config.json/, drawWith('bad-json')],
  ['a block that is not implemented', 3, /ResnetDownsampleBlock2D/, drawWith('strange-block')],
  ['a pipeline that is not implemented', 3, /FluxPipeline/, drawWith('foreign-pipeline')],
  ['pickled weights', 3, /never opens them/, drawWith('pickle')],
  ['a folder as a config', 3, /config.json is a folder; expected a file/, drawWith('config-is-folder')],
  ['a pipe as weights', 3, /is a pipe, a socket or a device/, drawWith('pipe')],
  ['a start picture that is none', 3, /cannot be read as a picture/, draw('--image', bad.in('a-file.txt'))],
  ['a start picture that is not there', 3, /does not exist/, draw('--image', bad.in('gone.png'))],
  ['no golden files', 3, /no golden file; expected at least one of/, ['conformance', 'noto']],
  [
    'a golden file of no known kind',
    3,
    /golden-controlnet.safetensors is no kind/,
    ['conformance', bad.in('unknown-golden')],
  ],
  [
    'a model without a tokenizer',
    2,
    /sd15-tiny has no tokenizer to read a prompt with.*--base/,
    ['generate', SD15, '-p', 'x'],
  ],
  ['a base that is not there', 3, /no folder nobase/, draw('--base', 'nobase')],
];

const others: Case[] = [
  [
    'more layers than a text encoder says',
    4,
    /text_encoder.* tensors that its config does not account for; the first is "text_model.encoder.layers/,
    drawWith('more-layers'),
  ],
  ['models that do not fit', 4, /blockOutChannels is .* Only models of the same architecture/, merge(SD15, SD21)],
  [
    'models that do not fit, drawn with',
    4,
    /predicts epsilon but .*sd21-tiny predicts v_prediction/,
    ['generate', `${SD15}+${SD21}`, '--base', 'base', '-p', 'x'],
  ],
  ['an adapter that is not there', 5, /No adapter has "nonsense" in its name/, draw('--adapter', 'nonsense')],
  ['too little memory', 6, /budget of/, draw('--memory', '1MB')],
  [
    'a folder below a file',
    8,
    /part of that path is a file/,
    ['generate', 'noto', '-p', 'x', '-o', bad.in('a-file.txt/a/b.png')],
  ],
];

describe.each([
  ['usage', usage],
  ['files', files],
  ['others', others],
])('%s', (_, cases) => {
  test.each(cases)('%s', async (_name, code, message, args) => {
    const png = `${bad.path}/start.png`;
    if (args.includes('PNG')) {
      const { encodePng } = await import('../../packages/cli/src/image/png.ts');
      writeFileSync(png, encodePng({ width: 8, height: 8, pixels: new Uint8Array(192) }));
    }
    const given = args.map((arg) => (arg === 'PNG' ? png : arg));
    const result = await soup([given[0]!, '--json', ...given.slice(1)]);
    expect(result.stderr).toMatch(message);
    expect(result.stderr).toMatch(/^soup: /m);
    expect(result.stderr).not.toMatch(/^\s+at .*:\d+|internal error/m);
    expect(result.code).toBe(code);
    const { error } = JSON.parse(result.stdout);
    expect(error).toMatchObject({ exitCode: code, message: expect.stringMatching(message), facts: expect.anything() });
    expect(out.files()).toEqual([]);
  });
});
