/**
 * What a machine lacks and how to bring it: facts in, a list of actions out.
 * Nothing here touches the machine, so every combination can be tested on any machine.
 *
 * @typedef {object} Facts
 * @property {string} platform            process.platform
 * @property {string} distribution        ID of /etc/os-release, '' when unknown
 * @property {string} codename            VERSION_CODENAME of /etc/os-release
 * @property {boolean} root
 * @property {boolean} apt                apt-get is there
 * @property {boolean} backports          apt already knows <codename>-backports
 * @property {string} mirror              the Debian mirror that apt already uses
 * @property {string | null} adapter      what answered Dawn, null when nothing did
 * @property {string | null} swiftShader  the driver file of an installed Chromium's software Vulkan
 * @property {boolean} browser            a Chromium is there
 * @property {boolean} tmux
 * @property {boolean} redis              a redis-server, or Valkey's
 *
 * @typedef {object} Wants
 * @property {boolean} [browser]
 * @property {boolean} [tmux]
 * @property {boolean} [redis]
 * @property {boolean} [system]           false: leave the system alone, only say what is missing
 *
 * @typedef {{ do: 'write', why: string, file: string, text: string }} Write
 * @typedef {{ do: 'apt', why: string, args: string[], brings: 'lists' | 'adapter' | 'programs' }} Apt
 * @typedef {{ do: 'driver', why: string, file: string }} Driver
 * @typedef {{ do: 'tell', lines: string[] }} Tell
 * @typedef {Write | Apt | Driver | Tell} Action
 */

export const oldestNode = [20, 19];

/** The sentence to stop with when this Node is too old, else null. */
export function nodeComplaint(/** @type {string} */ version) {
  const [major = 0, minor = 0] = version.replace(/^v/, '').split('.').map(Number);
  const [needMajor, needMinor] = oldestNode;
  if (major > needMajor || (major === needMajor && minor >= needMinor)) return null;
  return `Diffusion Soup needs Node ${oldestNode.join('.')} or newer; this is ${version}. See https://nodejs.org/en/download`;
}

const aptInstall = ['install', '-y', '--no-install-recommends'];
/** Where Debian's Chromium keeps its software Vulkan. */
export const chromiumDriver = '/usr/lib/chromium/vk_swiftshader_icd.json';
const mesaPackages = ['mesa-vulkan-drivers', 'libvulkan1'];

/**
 * Debian 12 carries Mesa 22.3, whose Vulkan Dawn refuses: there, and only there, Mesa has to come from backports.
 * @param {Facts} facts
 */
function mesaRelease(facts) {
  return facts.distribution === 'debian' && facts.codename === 'bookworm' ? 'bookworm-backports' : null;
}

/** @param {Facts} facts @param {Wants} wants */
function missingPrograms(facts, wants) {
  const programs = [];
  if (wants.browser && !facts.browser) programs.push('chromium');
  if (wants.tmux && !facts.tmux) programs.push('tmux');
  if (wants.redis && !facts.redis) programs.push('redis-server');
  return programs;
}

/** Ubuntu's chromium package only installs a snap, which a container cannot run. */
const aptBrings = (/** @type {Facts} */ facts, /** @type {string} */ program) =>
  program !== 'chromium' || facts.distribution !== 'ubuntu';

/**
 * @param {Facts} facts
 * @param {string[]} programs
 * @returns {(Write | Apt)[]}
 */
function aptActions(facts, programs) {
  /** @type {(Write | Apt)[]} */
  const actions = [];
  const release = mesaRelease(facts);
  if (facts.adapter === null && release !== null && !facts.backports) {
    actions.push({
      do: 'write',
      why: `telling apt about ${release}, because Mesa of Debian 12 is too old for WebGPU`,
      file: '/etc/apt/sources.list.d/diffusion-soup-backports.list',
      text: `deb ${facts.mirror} ${release} main\n`,
    });
  }
  actions.push({ do: 'apt', brings: 'lists', why: 'updating the package lists', args: ['update'] });
  if (facts.adapter === null) {
    const from = release === null ? [] : ['-t', release];
    actions.push({
      do: 'apt',
      brings: 'adapter',
      why: `no GPU adapter answers: installing a software one (${mesaPackages.join(', ')})`,
      args: [...aptInstall, ...from, ...mesaPackages],
    });
  }
  const packages = programs.filter((program) => aptBrings(facts, program));
  if (packages.length > 0) {
    const why = `installing ${packages.join(' and ')} for the tests`;
    actions.push({ do: 'apt', brings: 'programs', why, args: [...aptInstall, ...packages] });
  }
  return actions;
}

/** The same actions as commands to type. @param {(Write | Apt)[]} actions */
export function commands(actions, sudo = 'sudo ') {
  return actions.map((action) =>
    action.do === 'write'
      ? `echo '${action.text.trim()}' | ${sudo}tee ${action.file}`
      : `${sudo}apt-get ${action.args.join(' ')}`,
  );
}

/** @param {Facts} facts @param {string[]} programs @returns {string[]} */
function adviceWithoutApt(facts, programs) {
  const lines = [];
  if (facts.adapter === null) {
    if (facts.platform === 'darwin') lines.push('No GPU adapter answers through Metal: is this a virtual machine?');
    else if (facts.platform === 'win32')
      lines.push('No GPU adapter answers through Direct3D 12: update the GPU driver.');
    else {
      lines.push(
        'No Vulkan adapter answers. Install the Vulkan driver of your GPU, or Mesa 23 or newer with lavapipe:',
      );
      lines.push('  Fedora: mesa-vulkan-drivers   Arch: vulkan-swrast   Alpine: mesa-vulkan-swrast   Nix: mesa');
    }
  }
  if (programs.includes('chromium')) lines.push('The browser tests need Chromium or Chrome on the PATH.');
  if (programs.includes('tmux')) lines.push('The terminal tests need tmux.');
  if (programs.includes('redis-server')) lines.push('The queue tests need redis-server.');
  return lines;
}

/**
 * @param {Facts} facts
 * @param {Wants} [wants]
 * @returns {Action[]} in the order to do them; empty when nothing is missing
 */
export function planSystem(facts, wants = {}) {
  const programs = missingPrograms(facts, wants);
  if (facts.adapter !== null && programs.length === 0) return [];

  /** @type {Action[]} */
  const actions = [];
  if (facts.platform === 'linux' && facts.apt) {
    const steps = aptActions(facts, programs);
    if (facts.root && wants.system !== false) actions.push(...steps);
    else {
      const missing = [...(facts.adapter === null ? ['a Vulkan adapter'] : []), ...programs].join(', ');
      const lines = [`Missing: ${missing}. To install:`, ...commands(steps).map((command) => `  ${command}`)];
      actions.push({ do: 'tell', lines });
    }
    const byHand = programs.filter((program) => !aptBrings(facts, program));
    if (byHand.length > 0) actions.push({ do: 'tell', lines: adviceWithoutApt({ ...facts, adapter: '' }, byHand) });
  } else {
    actions.push({ do: 'tell', lines: adviceWithoutApt(facts, programs) });
  }

  // Last, so that it is only used when Mesa could not be had: SwiftShader knows no f16 and is far slower.
  const chromiumComes = actions.some((action) => action.do === 'apt' && action.args.includes('chromium'));
  const driver = facts.swiftShader ?? (chromiumComes ? chromiumDriver : null);
  if (facts.platform === 'linux' && facts.adapter === null && driver !== null) {
    actions.push({ do: 'driver', why: "using Chromium's SwiftShader, which is slow", file: driver });
  }
  return actions;
}
