const cells = walkable(document.querySelector("#grid table"));
let queue = [], line = null;  // what is still to be played of a row or column, and the button of that

function next() {
  const button = queue.shift();
  if (!button) return;
  button.scrollIntoView({block: "nearest", inline: "nearest"});
  play(button);
}

document.getElementById("grid").addEventListener("click", event => {
  const button = event.target.closest("button"), again = playing && button === line;
  if (!button) return;
  [queue, line] = [[], button];
  if (button.matches(".play")) return;
  stop();
  if (again) return;
  queue = "row" in button.dataset ? [...cells[button.dataset.row]] : cells.map(row => row[button.dataset.column]);
  next();
});
player.addEventListener("ended", next);

cells[0][0].tabIndex = 0;
