// A button of class "play" plays the MP3 in its data-sound; pressed again, or when another is, it stops, as by Escape.
const player = new Audio();
let playing = null;

function stop() {
  player.pause();
  playing?.classList.remove("on");
  playing = null;
}

function play(button) {
  stop();
  playing = button;
  button.classList.add("on");
  player.src = `data:audio/mpeg;base64,${button.dataset.sound}`;
  player.play().catch(stop);
}

document.addEventListener("click", event => {
  const button = event.target.closest(".play");
  if (button === playing) stop();
  else if (button) play(button);
});
document.addEventListener("keydown", event => { if (event.key === "Escape") stop(); });
player.addEventListener("ended", stop);

// Arrow keys, Home and End move between a table's buttons that play; the tab key stops at the one where one was last.
function walkable(table) {
  const rows = [...table.rows].map(row => [...row.querySelectorAll(".play")]).filter(row => row.length);
  const visit = button => {
    if (!button) return;
    for (const other of rows.flat()) other.tabIndex = other === button ? 0 : -1;
    button.focus();
    button.scrollIntoView({block: "nearest", inline: "nearest"});
  };
  table.addEventListener("click", event => visit(event.target.closest(".play")));
  table.addEventListener("keydown", event => {
    const y = rows.findIndex(row => row.includes(event.target)), x = rows[y]?.indexOf(event.target);
    if (y < 0 || event.altKey || event.ctrlKey || event.metaKey) return;
    const to = {ArrowLeft: [y, x - 1], ArrowRight: [y, x + 1], ArrowUp: [y - 1, x], ArrowDown: [y + 1, x],
                Home: [y, 0], End: [y, rows[y].length - 1]}[event.key];
    if (!to) return;
    event.preventDefault();
    visit(rows[to[0]]?.[to[1]]);
  });
  return rows;
}

// Hands the text to the browser to be saved as a file of that name.
function download(name, text, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], {type}));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

