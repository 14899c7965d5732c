/** Asks before much is loaded. */
import { formatBytes } from '@diffusion-soup/core';
import { useEffect, useRef } from 'preact/hooks';
import { useKitchen } from './context.js';

export function LoadQuestion() {
  const { state, dispatch } = useKitchen();
  const dialog = useRef<HTMLDialogElement>(null);
  const { question } = state.value;
  useEffect(() => {
    if (question) dialog.current?.showModal();
    else dialog.current?.close();
  }, [question]);
  const answer = (isYes: boolean) =>
    question && dispatch(isYes ? { type: 'allow', loadKey: question.loadKey } : { type: 'stop' });
  return (
    <dialog ref={dialog} aria-labelledby="load-title" onCancel={() => answer(false)}>
      {question && (
        <>
          <h2 id="load-title">Load {formatBytes(question.bytes)}?</h2>
          <dl class="facts">
            <Fact name="From the network" bytes={question.fromNetwork} />
            <Fact name="From the cache" bytes={question.fromCache} />
            <Fact name="From this computer" bytes={question.fromDisk} />
            <Fact name="GPU memory" bytes={question.gpuResident} />
            <Fact name="GPU memory, at the least" bytes={question.gpuLeast} />
          </dl>
          <div class="row">
            <button type="button" onClick={() => answer(true)}>
              Load
            </button>
            <button type="button" class="quiet" onClick={() => answer(false)}>
              Not now
            </button>
          </div>
        </>
      )}
    </dialog>
  );
}

const Fact = ({ name, bytes }: { name: string; bytes: number }) =>
  bytes > 0 ? (
    <div>
      <dt>{name}</dt>
      <dd>{formatBytes(bytes)}</dd>
    </div>
  ) : null;
