const cells = walkable(document.querySelector("#grid table"));
let queue = [];  // what is still to be played of a row or column

function next() {
  const button = queue.shift();
  if (!button) return;
  button.scrollIntoView({block: "nearest", inline: "nearest"});
  play(button);
}

document.getElementById("grid").addEventListener("click", event => {
  const button = event.target.closest("button");
  if (!button) return;
  queue = [];
  if (button.matches(".play")) return;
  stop();
  queue = "row" in button.dataset ? [...cells[button.dataset.row]] : cells.map(row => row[button.dataset.column]);
  next();
});
player.addEventListener("ended", next);

cells[0][0].tabIndex = 0;
