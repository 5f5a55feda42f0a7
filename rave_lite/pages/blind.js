// A/B and ABX tests: each trial draws which version is which, and the page hides it until the end.
const part = id => document.getElementById(id);
const main = document.querySelector("main");
const QUESTIONS = {
  ab: [["a", "A is better"], ["b", "B is better"], ["none", "No difference"]],
  abx: [["a", "X is A"], ["b", "X is B"]],
};
const versions = [...document.querySelector("main .file").querySelectorAll(".row .name")].map(name => name.textContent);
const places = {own: "recordings", foreign: "foreign sounds"};
let test = null, trial = null;

// The probability of at least `hits` heads of `count` fair coins.
function tail(count, hits) {
  let log = -count * Math.log(2), sum = 0;
  for (let k = 0; k <= count; k++) {
    if (k >= hits) sum += Math.exp(log);
    log += Math.log((count - k) / (k + 1));
  }
  return Math.min(1, sum);
}

const coin = () => Math.random() < 0.5;

function shuffled(items) {
  const remaining = [...items];
  return items.map(() => remaining.splice(Math.floor(Math.random() * remaining.length), 1)[0]);
}

function letter(deck, key) {  // chooses the version with that letter
  const index = deck.radios.findIndex(radio => radio.value === key);
  deck.choose(index);
  return index >= 0;
}

const unsaved = () => test?.trials.length > 0 && !test.saved;

function begin(event) {
  event.preventDefault();
  const files = document.querySelectorAll(`main ${part("which").value} .file`);
  const pair = [part("first").selectedIndex, part("second").selectedIndex];
  part("second").setCustomValidity(pair[0] === pair[1] ? "Choose two different versions" : "");
  if (!part("setup").reportValidity()) return;
  if (unsaved() && !confirm("Your last answers are not saved. Begin a new test and lose them?")) return show("result");
  test = {mode: new FormData(part("setup")).get("mode"), pair, files: [...files], remaining: [], trials: []};
  show("trial");
  next();
}

function next() {
  if (!test.remaining.length) test.remaining = shuffled(test.files);
  const file = test.remaining.pop(), [a, b] = coin() ? test.pair : [...test.pair].reverse(), x = coin() ? "a" : "b";
  trial = {file: file.dataset.name, a: versions[a], b: versions[b], ...(test.mode === "abx" && {x})};
  const inputs = [...file.querySelectorAll("input[type=radio]")], choices = {a: inputs[a], b: inputs[b]};
  if (test.mode === "abx") choices.x = choices[x];
  else if (a && b) choices.o = inputs[0];
  part("letters").replaceChildren(...Object.keys(choices).map((name, i) => {
    const label = document.createElement("label"), radio = document.createElement("input");
    Object.assign(radio, {type: "radio", name: "letter", value: name, checked: i === 0});
    label.append(radio, ` ${name === "o" ? "Original" : name.toUpperCase()}`);
    return label;
  }));
  part("number").textContent = `Trial ${test.trials.length + 1}`;
  part("recording").textContent = trial.file;
  const deck = deckOf(part("trial"));
  deck.load(Object.values(choices), Number(file.dataset.seconds));
  deck.play();
}

function answered(answer) {
  const judged = trial.x ? {correct: answer === trial.x} : {preferred: trial[answer] ?? null};
  test.trials.push({...trial, answer, ...judged, equally_loud: equal.checked});
  next();
}

// Counts, and the probability of such counts by guessing: one-sided for ABX, two-sided for preferences without ties.
function outcome() {
  const {trials, pair, mode} = test, names = pair.map(i => versions[i]);
  if (mode === "abx") {
    const correct = trials.filter(entry => entry.correct).length;
    return {counts: {trials: trials.length, correct}, p_value: tail(trials.length, correct)};
  }
  const [first, second, none] = [...names, null].map(name => trials.filter(entry => entry.preferred === name).length);
  return {counts: {trials: trials.length, preferred: {[names[0]]: first, [names[1]]: second}, none},
          p_value: Math.min(1, 2 * tail(first + second, Math.max(first, second)))};
}

function finish() {
  deckOf(part("trial")).pause();
  const {counts, p_value} = outcome(), {trials, mode} = test;
  const chance = `By chance alone so much or more happens with p = ${p_value.toPrecision(2)}.`;
  part("said").textContent = mode === "abx" ? `${counts.correct} of ${counts.trials} right. ${chance}` :
    `${Object.entries(counts.preferred).map(([name, times]) => `${name}: ${times}`).join("; ")}; no difference: ${counts.none}. ${chance}`;
  part("result").querySelector("tbody").replaceChildren(...trials.map((entry, i) => {
    const row = document.createElement("tr");
    const said = entry.x ? `${entry.answer.toUpperCase()}, ${entry.correct ? "right" : "wrong"}` :
      entry.preferred ?? "no difference";
    for (const text of [i + 1, entry.file, entry.a, entry.b, entry.x?.toUpperCase() ?? "", said])
      row.append(Object.assign(document.createElement("td"), {textContent: text}));
    return row;
  }));
  show("result");
}

function saved() {
  return JSON.stringify({page: part("bar").dataset.page, saved: new Date().toISOString(), test: test.mode,
                         models: versions.slice(1), versions: test.pair.map(i => versions[i]), ...outcome(),
                         trials: test.trials}, null, 2) + "\n";
}

// Shows "setup", "trial" (which ends by finishing it) or "result"; without a name, the page itself.
function show(name) {
  current?.pause();
  main.hidden = Boolean(name);
  part("blind").hidden = !name;
  part("test").hidden = name === "trial";
  part("test").textContent = !name && unsaved() ? "Unsaved blind test" : "Blind test";
  part("test").setAttribute("aria-expanded", Boolean(name));
  for (const id of ["setup", "trial", "result"]) part(id).hidden = id !== name;
  if (name === "setup") part("blind-title").focus();
  if (name === "result") part("said").focus();
  if (name === "trial")
    part("answers").replaceChildren(...QUESTIONS[test.mode].map(([value, text]) => {
      const button = Object.assign(document.createElement("button"), {type: "button", textContent: text, value});
      button.addEventListener("click", () => answered(value));
      return button;
    }));
}

for (const [i, id] of ["first", "second"].entries()) {
  part(id).append(...versions.map(name => new Option(name, name)));
  part(id).selectedIndex = versions.length > 2 ? i + 1 : i;
}
const sections = [...document.querySelectorAll("main section")].filter(section => section.id in places);
part("which").append(...(sections.length > 1 ? [new Option("everything", "")] : []),
                     ...sections.map(section => new Option(places[section.id], `#${section.id}`)));
part("test").addEventListener("click", () => show(!part("blind").hidden ? "" : unsaved() ? "result" : "setup"));
part("setup").addEventListener("submit", begin);
part("finish").addEventListener("click", finish);
part("again").addEventListener("click", () => show("setup"));
part("save").addEventListener("click", () => {
  download(`blind-${part("bar").dataset.page}-${test.mode}.json`, saved(), "application/json");
  test.saved = true;
});
for (const button of document.querySelectorAll(".leave")) button.addEventListener("click", () => show(""));
addEventListener("beforeunload", event => { if (unsaved()) event.preventDefault(); });
