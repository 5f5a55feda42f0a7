// In a table of directions the arrow keys, Home and End move between its buttons; the tab key stops at one of them.
document.addEventListener("keydown", event => {
  const cell = event.target.closest?.(".latents td"), row = cell?.parentElement;
  if (!cell || event.altKey || event.ctrlKey || event.metaKey) return;
  const beside = {ArrowLeft: cell.previousElementSibling, ArrowRight: cell.nextElementSibling, Home: row.cells[1],
                  End: row.cells[row.cells.length - 1], ArrowUp: row.previousElementSibling?.cells[cell.cellIndex],
                  ArrowDown: row.nextElementSibling?.cells[cell.cellIndex]};
  if (!(event.key in beside)) return;
  event.preventDefault();
  focusOn(beside[event.key]?.querySelector(".play"));
});

document.addEventListener("click", event => focusOn(event.target.closest(".latents td .play")));

function focusOn(button) {
  if (!button) return;
  for (const other of button.closest("table").querySelectorAll(".play")) other.tabIndex = other === button ? 0 : -1;
  button.focus();
}
