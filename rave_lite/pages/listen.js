// All versions of a recording start and run in sync; gains select the audible one.
const CROSSFADE = 0.01, EDGE = 0.004, LEAD = 0.02, REST = 0.3;  // s; REST: silence before a recording repeats
const KEPT = 4;  // recordings that stay decoded
const RATE = Number(document.getElementById("bar").dataset.rate);
const equal = document.getElementById("equal"), repeat = document.getElementById("repeat");
const decks = new Map();
let context = null, current = null, recent = [];

async function decoded(voice) {
  const bytes = Uint8Array.from(atob(voice.dataset.sound), letter => letter.charCodeAt(0));
  const sound = await context.decodeAudioData(bytes.buffer);
  const padded = context.createBuffer(1, sound.length + Math.round(REST * RATE), RATE);
  padded.copyToChannel(sound.getChannelData(0), 0);
  return padded;
}

// The decoded versions of a recording; those of the recordings played last are kept.
function buffers(voices) {
  const known = recent.find(entry => entry.voices.every((voice, i) => voice === voices[i]) && entry.voices.length === voices.length);
  const entry = known ?? {voices, sounds: Promise.all(voices.map(decoded))};
  recent = [entry, ...recent.filter(other => other !== entry)].slice(0, KEPT);
  return entry.sounds;
}

class Deck {
  constructor(root, voices) {
    this.root = root;
    this.button = root.querySelector(".toggle");
    this.slider = root.querySelector(".at");
    this.time = root.querySelector(".time");
    this.called = this.button.getAttribute("aria-label").replace(/^Play/, "");
    [this.request, this.run, this.at] = [0, null, 0];
    this.load(voices, Number(root.dataset.seconds));
  }

  load(voices, seconds) {  // voices: inputs with the sounds
    [this.voices, this.seconds] = [voices, seconds];
    this.slider.max = seconds;
    this.pause();
    this.seek(0);
  }

  get radios() { return [...this.root.querySelectorAll("input[type=radio]")]; }
  get chosen() { return Math.max(0, this.radios.findIndex(radio => radio.checked)); }
  get playing() { return this.run !== null || this.root.classList.contains("on"); }

  get position() {
    if (!this.run) return this.at;
    const passed = this.run.at + Math.max(0, context.currentTime - this.run.begin);
    return passed % this.run.length;
  }

  gain(i) { return i === this.chosen ? Number(this.voices[i].dataset[equal.checked ? "equal" : "original"]) : 0; }

  async play(at = this.at) {
    if (current !== this) current?.pause();
    stop();
    current = this;
    context ??= new AudioContext({sampleRate: RATE});
    const request = ++this.request;
    this.root.classList.add("on");
    const [sounds] = await Promise.all([buffers(this.voices), context.resume()]);
    if (request !== this.request) return;  // paused or moved meanwhile
    this.halt();
    this.start(sounds, at >= this.seconds ? 0 : at);
    requestAnimationFrame(() => this.follow());
  }

  start(sounds, at) {
    const begin = context.currentTime + LEAD, all = context.createGain();
    all.gain.setValueAtTime(at > 0 ? 0 : 1, begin);
    all.gain.linearRampToValueAtTime(1, begin + EDGE);
    all.connect(context.destination);
    const voices = sounds.map((buffer, i) => {
      const source = context.createBufferSource(), gain = context.createGain();
      source.buffer = buffer;
      source.loop = repeat.checked;
      gain.gain.value = this.gain(i);
      source.connect(gain).connect(all);
      source.start(begin, at);
      return {source, gain};
    });
    const run = this.run = {begin, at, all, voices, length: sounds[0].duration};
    voices[0].source.onended = () => { if (this.run === run) { this.pause(); this.seek(0); } };
  }

  halt() {
    if (!this.run) return;
    const now = context.currentTime, {all, voices} = this.run;
    all.gain.cancelScheduledValues(now);
    all.gain.setValueAtTime(all.gain.value, now);
    all.gain.linearRampToValueAtTime(0, now + EDGE);
    for (const {source} of voices) source.stop(now + 2 * EDGE);
    this.run = null;
  }

  pause() {
    this.at = Math.min(this.position, this.seconds);
    this.request++;
    this.halt();
    this.root.classList.remove("on");
    this.show();
  }

  toggle() { if (this.playing) this.pause(); else this.play(); }

  seek(at) {
    this.at = Math.min(Math.max(at, 0), this.seconds);
    if (this.playing) this.play(); else this.show();
  }

  choose(i) {
    if (!this.radios[i]) return;
    this.radios[i].checked = true;
    this.mix();
  }

  mix() {
    this.run?.voices.forEach(({gain}, i) => {
      const now = context.currentTime;
      gain.gain.cancelScheduledValues(now);
      gain.gain.setValueAtTime(gain.gain.value, now);
      gain.gain.linearRampToValueAtTime(this.gain(i), now + CROSSFADE);
    });
  }

  follow() {
    this.show();
    if (this.run) requestAnimationFrame(() => this.follow());
  }

  show() {
    const at = Math.min(this.position, this.seconds), said = `${at.toFixed(2)} of ${this.seconds.toFixed(2)} s`;
    this.root.style.setProperty("--at", `${100 * at / this.seconds}%`);
    this.slider.value = at;
    this.slider.setAttribute("aria-valuetext", said);
    this.time.textContent = `${at.toFixed(2)} / ${this.seconds.toFixed(2)} s`;
    this.button.setAttribute("aria-label", (this.playing ? "Pause" : "Play") + this.called);
  }
}

function deckOf(root) {
  if (!decks.has(root)) decks.set(root, new Deck(root, [...root.querySelectorAll("input[type=radio]")]));
  return decks.get(root);
}

const shownFiles = () => [...document.querySelectorAll(".file")].filter(file => file.closest("[hidden]") === null);

document.addEventListener("click", event => {
  const root = event.target.closest(".file"), picture = event.target.closest(".file .pic");
  if (event.target.closest(".toggle")) deckOf(root).toggle();
  if (!picture) return;
  const {left, width} = picture.getBoundingClientRect(), deck = deckOf(root);
  deck.choose([...root.querySelectorAll(".pic")].indexOf(picture));
  deck.play(deck.at = deck.seconds * Math.min(Math.max((event.clientX - left) / width, 0), 1));
});

document.addEventListener("input", event => {
  if (event.target.matches(".at")) deckOf(event.target.closest(".file")).seek(Number(event.target.value));
});

document.addEventListener("change", event => {
  if (event.target.matches(".file input[type=radio]")) deckOf(event.target.closest(".file")).mix();
});

equal.addEventListener("change", () => current?.mix());
repeat.addEventListener("change", () => current?.run?.voices.forEach(({source}) => { source.loop = repeat.checked; }));
player.addEventListener("play", () => current?.pause());  // a sound of page.js

document.addEventListener("keydown", event => {
  if (event.key === "Escape") current?.pause();
  if (event.defaultPrevented || event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.target.matches("select, input[type=number], input[type=text]")) return;
  if (event.target.closest(".scroll") && /^(Arrow| )/.test(event.key)) return;  // they scroll
  const files = shownFiles(), root = event.target.closest(".file") ?? files.find(file => file === current?.root);
  if (!files.length) return;
  const radio = event.target.matches("input[type=radio]"), key = event.key.toLowerCase();
  const deck = deckOf(root ?? files[0]), step = {arrowleft: -1, arrowright: 1}[key], other = {n: 1, p: -1}[key];
  if (key === " " && !event.target.matches("button, summary, input[type=checkbox], #setup input")) deck.toggle();
  else if (step && !radio) deck.seek(deck.position + step * deck.seconds / 20);
  else if (key >= "1" && key <= "9") deck.choose(Number(key) - 1);
  else if (other) files[files.indexOf(root) + other]?.querySelector(".toggle").focus();
  else if (key === "l" || key === "r") (key === "l" ? equal : repeat).click();
  else if (!letter(deck, key)) return;
  event.preventDefault();
});
