/** Models of this computer that the last visit had. */
import { openAgain } from '../picked.js';
import { useKitchen } from './context.js';

export function PickedAgain() {
  const { state, dispatch } = useKitchen();
  const { closed = [] } = state.value;
  if (closed.length === 0) return null;
  const names = (some: typeof closed) => some.map(({ name }) => name).join(', ');
  const [kept, lost] = [closed.filter(({ handle }) => handle), closed.filter(({ handle }) => !handle)];
  const open = async () => {
    const models = await openAgain(kept);
    if (models.length > 0) dispatch({ type: 'reopen', models });
  };
  return (
    <div class="notice" role="status">
      {kept.length > 0 && <p>The browser asks again before it reads {names(kept)} from this computer.</p>}
      {lost.length > 0 && <p>Pick {names(lost)} again under “Add a model”: the browser did not keep them.</p>}
      {kept.length > 0 && (
        <button type="button" class="quiet" onClick={open}>
          Open again
        </button>
      )}
      <button type="button" class="link" onClick={() => dispatch({ type: 'closed', closed: [] })}>
        Forget
      </button>
    </div>
  );
}
