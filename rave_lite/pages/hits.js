const hits = [...document.querySelectorAll("li")];
const ticked = hit => hit.querySelector("input").checked;
let edited = false;

function show() {
  for (const hit of hits) hit.classList.toggle("off", !ticked(hit));
  for (const section of document.querySelectorAll("section")) {
    const inside = [...section.querySelectorAll("li")], kept = inside.filter(ticked).length, all = section.querySelector(".all");
    all.checked = kept === inside.length;
    all.indeterminate = kept > 0 && kept < inside.length;
  }
  const kept = hits.filter(ticked), seconds = kept.reduce((sum, hit) => sum + (hit.dataset.end - hit.dataset.start), 0);
  document.getElementById("count").textContent = `${kept.length} of ${hits.length} hits, ${seconds.toFixed(1)} s`;
}

function manifest() {  // as rave_lite/data/manifest.py writes it
  const columns = document.getElementById("bar").dataset.columns.split(",");
  const quoted = text => /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  const row = hit => columns.map(name => quoted(name === "keep" ? (ticked(hit) ? "yes" : "no") : hit.dataset[name])).join(",");
  const ordered = [...hits].sort((a, b) => a.dataset.row - b.dataset.row);
  return "\ufeff" + [columns.join(","), ...ordered.map(row)].map(line => line + "\r\n").join("");
}

document.querySelector("main").addEventListener("change", event => {
  if (event.target.matches(".all"))
    for (const box of event.target.closest("section").querySelectorAll("li input")) box.checked = event.target.checked;
  edited = true;
  show();
});

document.getElementById("drop").addEventListener("click", () => {
  const limit = Number(document.getElementById("limit").value);
  for (const hit of hits) if (hit.dataset.outlier >= limit) hit.querySelector("input").checked = false;
  edited = true;
  show();
});

document.getElementById("bar").addEventListener("submit", event => {
  event.preventDefault();
  download("manifest.csv", manifest(), "text/csv");
  document.getElementById("next").hidden = false;
  edited = false;
});

addEventListener("beforeunload", event => { if (edited) event.preventDefault(); });
show();
