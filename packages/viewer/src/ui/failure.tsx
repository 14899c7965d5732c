/** What went wrong, what to do, and one button to go on. */
import { useKitchen } from './context.js';

export function FailurePanel() {
  const { state, dispatch } = useKitchen();
  const { failure, notice } = state.value;
  return (
    <>
      {failure && (
        <div class="failure" role="alert">
          <p>
            <strong>{failure.sentence}</strong> {failure.remedy}
          </p>
          <button type="button" onClick={() => dispatch({ type: 'redraw' })}>
            Draw again
          </button>
        </div>
      )}
      {notice && (
        <div class="notice" role="status">
          <p>{notice}</p>
          <button type="button" class="link" onClick={() => dispatch({ type: 'notice' })}>
            Close
          </button>
        </div>
      )}
    </>
  );
}
