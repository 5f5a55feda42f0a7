// A button of class "play" plays the MP3 in its data-sound; pressed again, or when another is, it stops.
const player = new Audio();
let playing = null;

function stop() {
  player.pause();
  playing?.classList.remove("on");
  playing = null;
}

document.addEventListener("click", event => {
  const button = event.target.closest(".play");
  if (!button) return;
  const again = button === playing;
  stop();
  if (again) return;
  playing = button;
  button.classList.add("on");
  player.src = `data:audio/mpeg;base64,${button.dataset.sound}`;
  player.play().catch(stop);
});
player.addEventListener("ended", stop);

// Hands the text to the browser to be saved as a file of that name.
function download(name, text, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], {type}));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

