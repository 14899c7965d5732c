import { formula } from '../state/ingredients.js';
import { AddModel } from './add-model.js';
import { useKitchen } from './context.js';
import { IngredientRow } from './ingredient-row.js';

export function IngredientsPanel() {
  const { state, dispatch } = useKitchen();
  const { ingredients } = state.value.doc.present;
  return (
    <section class="panel ingredients" aria-labelledby="ingredients-title">
      <div class="panel-head">
        <h2 id="ingredients-title">Ingredients</h2>
        <button type="button" class="link" onClick={() => dispatch({ type: 'equalise' })}>
          Equalise
        </button>
        <button type="button" class="link" onClick={() => dispatch({ type: 'normalise' })}>
          Normalise
        </button>
      </div>
      {ingredients.length === 0 && <p class="faint">No models yet. Add one, or drop files anywhere on this page.</p>}
      <ul class="plain">
        {ingredients.map((one, i) => (
          <IngredientRow key={one.name} one={one} hue={i} />
        ))}
      </ul>
      <p class="formula" data-testid="formula">
        {formula(ingredients)}
      </p>
      <AddModel />
    </section>
  );
}
