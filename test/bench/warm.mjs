/** What graphics cards need to be measured: a warm-up, and runs that follow one another. */

/** An idle card falls to a fifth of its clock within seconds, and takes about one to come back. */
const WARM_MS = 1500;

/** Runs something for as long, and at least `least` times. */
export async function warm(/** @type {() => Promise<unknown>} */ once, least = 3) {
  const begun = performance.now();
  for (let i = 0; i < least || performance.now() - begun < WARM_MS; i++) await once();
}

/**
 * Milliseconds of each of so many runs of a plan, none of which is waited for but the last.
 * @param {import('./cases.mjs').Gpu} gpu
 * @param {import('../../packages/core/dist/gpu/plan.js').Plan} plan
 * @param {import('../../packages/core/dist/gpu/plan.js').Inputs} inputs
 * @param {number} runs
 */
export async function inARow(gpu, plan, inputs, runs) {
  const begun = performance.now();
  for (let i = 0; i < runs; i++) await plan.submit(inputs);
  await gpu.device.queue.onSubmittedWorkDone();
  return (performance.now() - begun) / runs;
}

/**
 * Milliseconds of the host that each of so many runs of a plan takes: to encode its commands, and to submit them.
 * @param {import('./cases.mjs').Gpu} gpu
 * @param {import('../../packages/core/dist/gpu/plan.js').Plan} plan
 * @param {import('../../packages/core/dist/gpu/plan.js').Inputs} inputs
 * @param {number} runs
 */
export async function onHost({ device }, plan, inputs, runs) {
  const { queue } = device;
  let [encoding, submitting] = [0, 0];
  const create = device.createCommandEncoder.bind(device);
  device.createCommandEncoder = (descriptor) => {
    const begun = performance.now();
    const encoder = create(descriptor);
    const finish = encoder.finish.bind(encoder);
    encoder.finish = () => {
      const commands = finish();
      encoding += performance.now() - begun;
      return commands;
    };
    return encoder;
  };
  const submit = queue.submit.bind(queue);
  queue.submit = (commands) => {
    const begun = performance.now();
    submit(commands);
    submitting += performance.now() - begun;
  };
  try {
    for (let i = 0; i < runs; i++) await plan.submit(inputs);
  } finally {
    // What the device's class has is there again.
    Reflect.deleteProperty(device, 'createCommandEncoder');
    Reflect.deleteProperty(queue, 'submit');
  }
  await queue.onSubmittedWorkDone();
  return { encodeMs: encoding / runs, submitMs: submitting / runs };
}
