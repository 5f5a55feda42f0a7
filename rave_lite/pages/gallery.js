const cells = [...document.querySelectorAll("tbody tr")].map(row => [...row.querySelectorAll(".play")]);
let queue = [];

function focus(button) {  // one of the grid is in the tab order: the one that was last there
  for (const other of cells.flat()) other.tabIndex = other === button ? 0 : -1;
  button.focus();
  button.scrollIntoView({block: "nearest", inline: "nearest"});
}

function next() {
  const button = queue.shift();
  if (!button) return;
  button.scrollIntoView({block: "nearest", inline: "nearest"});
  button.click();
}

document.getElementById("grid").addEventListener("click", event => {
  const all = event.target.closest(".all"), one = event.target.closest(".play");
  if (one && event.isTrusted) queue = [];
  if (one) for (const other of cells.flat()) other.tabIndex = other === one ? 0 : -1;
  if (!all) return;
  stop();
  queue = "row" in all.dataset ? [...cells[all.dataset.row]] : cells.map(row => row[all.dataset.column]);
  next();
});
player.addEventListener("ended", next);

document.getElementById("grid").addEventListener("keydown", event => {
  const row = cells.findIndex(row => row.includes(document.activeElement));
  if (row < 0 || event.altKey || event.ctrlKey || event.metaKey) return;
  const column = cells[row].indexOf(document.activeElement), last = cells[row].length - 1;
  const to = {ArrowLeft: [row, column - 1], ArrowRight: [row, column + 1], ArrowUp: [row - 1, column],
    ArrowDown: [row + 1, column], Home: [row, 0], End: [row, last]}[event.key];
  if (!to) return;
  event.preventDefault();
  const button = cells[to[0]]?.[to[1]];
  if (button) focus(button);
});

cells[0][0].tabIndex = 0;
