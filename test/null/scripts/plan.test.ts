import { describe, expect, it } from 'vitest';
import { commands, type Facts, nodeComplaint, planSystem } from '../../../scripts/setup/plan.mjs';

const bareDebian: Facts = {
  platform: 'linux',
  distribution: 'debian',
  codename: 'bookworm',
  root: true,
  apt: true,
  backports: false,
  mirror: 'http://mirror.example/debian',
  adapter: null,
  swiftShader: null,
  browser: false,
  tmux: false,
  redis: false,
};
const ready: Facts = { ...bareDebian, adapter: 'llvmpipe', browser: true, tmux: true, redis: true };
const kinds = (facts: Facts, wants = {}) => planSystem(facts, wants).map((action) => action.do);
const told = (facts: Facts, wants = {}) =>
  planSystem(facts, wants).flatMap((action) => (action.do === 'tell' ? action.lines : []));

describe('nodeComplaint', () => {
  it.each(['v20.19.0', 'v20.20.2', 'v22.0.0', 'v26.1.0'])('accepts %s', (version) => {
    expect(nodeComplaint(version)).toBeNull();
  });
  it.each(['v20.18.3', 'v18.20.0', 'v8.0.0'])('names both versions for %s', (version) => {
    expect(nodeComplaint(version)).toContain(version);
    expect(nodeComplaint(version)).toContain('20.19');
  });
});

describe('planSystem', () => {
  it('does nothing when nothing is missing', () => {
    expect(planSystem(ready, { browser: true, tmux: true, redis: true })).toEqual([]);
    expect(planSystem({ ...ready, browser: false, tmux: false, redis: false })).toEqual([]);
  });

  it('takes Mesa from backports on Debian 12, from the mirror that the machine uses', () => {
    const [write, update, install] = planSystem(bareDebian);
    expect(write).toMatchObject({ do: 'write', text: 'deb http://mirror.example/debian bookworm-backports main\n' });
    expect(update).toMatchObject({ args: ['update'] });
    expect(install).toMatchObject({
      brings: 'adapter',
      args: [
        ...['install', '-y', '--no-install-recommends', '-t', 'bookworm-backports'],
        ...['mesa-vulkan-drivers', 'libvulkan1'],
      ],
    });
  });

  it('leaves the sources alone when backports are known, and on releases with a newer Mesa', () => {
    expect(kinds({ ...bareDebian, backports: true })).toEqual(['apt', 'apt']);
    const [, install] = planSystem({ ...bareDebian, codename: 'trixie' });
    expect(install).not.toMatchObject({ args: expect.arrayContaining(['-t']) });
  });

  it('installs programs apart from Mesa, so that one can fail without the other', () => {
    const plan = planSystem(bareDebian, { browser: true, tmux: true, redis: true });
    expect(plan.map((action) => action.do)).toEqual(['write', 'apt', 'apt', 'apt', 'driver']);
    expect(plan[3]).toMatchObject({
      brings: 'programs',
      args: expect.arrayContaining(['chromium', 'tmux', 'redis-server']),
    });
    expect(kinds({ ...ready, tmux: false }, { browser: true, tmux: true })).toEqual(['apt', 'apt']);
  });

  it('falls back to the driver of Chromium last', () => {
    const plan = planSystem({ ...bareDebian, swiftShader: '/somewhere/icd.json' });
    expect(plan.at(-1)).toMatchObject({ do: 'driver', file: '/somewhere/icd.json' });
  });

  it.each([
    ['without root', { ...bareDebian, root: false }, {}],
    ['when told to leave the system alone', bareDebian, { system: false }],
  ])('prints the exact commands %s', (_, facts, wants) => {
    expect(kinds(facts, wants)).toEqual(['tell']);
    expect(told(facts, wants)).toEqual([
      'Missing: a Vulkan adapter. To install:',
      "  echo 'deb http://mirror.example/debian bookworm-backports main' | sudo tee /etc/apt/sources.list.d/diffusion-soup-backports.list",
      '  sudo apt-get update',
      '  sudo apt-get install -y --no-install-recommends -t bookworm-backports mesa-vulkan-drivers libvulkan1',
    ]);
  });

  it('gives advice where there is no apt', () => {
    const wants = { browser: true, tmux: true, redis: true };
    expect(told({ ...bareDebian, distribution: 'fedora', apt: false }, wants).join('\n')).toContain('Fedora');
    expect(told({ ...bareDebian, platform: 'darwin', apt: false }, wants).join('\n')).toContain('Metal');
    expect(told({ ...ready, platform: 'win32', apt: false }, wants)).toEqual([]);
    expect(kinds({ ...bareDebian, platform: 'darwin', apt: false, swiftShader: '/x' })).toEqual(['tell']);
  });

  it("does not install Ubuntu's chromium, which is a snap", () => {
    const ubuntu = { ...ready, distribution: 'ubuntu', codename: 'noble', browser: false, tmux: false };
    const plan = planSystem(ubuntu, { browser: true, tmux: true });
    expect(plan[1]).toMatchObject({ args: ['install', '-y', '--no-install-recommends', 'tmux'] });
    expect(told(ubuntu, { browser: true })).toEqual(['The browser tests need Chromium or Chrome on the PATH.']);
  });

  it('prints root commands without sudo when asked to', () => {
    expect(commands([{ do: 'apt', why: '', brings: 'lists', args: ['update'] }], '')).toEqual(['apt-get update']);
  });
});
