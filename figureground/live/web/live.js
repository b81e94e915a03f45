// Takes frames from a camera or a video, asks the worker where the person is, and lays that over another background.
const by = (id) => document.getElementById(id);
const shown = by("shown"), pen = shown.getContext("2d");
const say = (text) => { by("said").textContent = text; };
const told = await (await fetch("about.json")).json();
const side = told.side, AHEAD = 2; // frames that the worker may have: one in work, one that waits
const square = new OffscreenCanvas(side, side).getContext("2d", { willReadFrequently: true });
const mask = new OffscreenCanvas(side, side).getContext("2d");
const video = Object.assign(document.createElement("video"), { muted: true, playsInline: true, loop: true });
let background = null, waiting = [], number = 0, ready = false, drawn = [], took = [];
const state = (window.figureground = { frames: 0, fps: 0, milliseconds: 0, threads: 0 });

by("told").textContent = `${told.network}, ${side} × ${side}, taught by ${told.release}`;
const worker = new Worker("live_worker.js", { type: "module" });
worker.onerror = (event) => say(`the network's worker failed: ${event.message || "it could not be loaded"}`);
worker.onmessage = ({ data }) => {
  if (data.error) return say(`the network failed: ${data.error}`);
  if (data.ready) { ready = true; state.threads = data.threads; return begin(); }
  const frame = waiting.shift();
  if (frame) show(frame, data);
};
worker.postMessage({ side });

function place(width, height) { // as figureground.datasets.samples.letterbox lays a picture into the square
  const scale = side / Math.max(width, height) * told.stretch;
  const [w, h] = [width, height].map((length) => Math.min(side, Math.max(1, Math.round(length * scale))));
  return { x: Math.floor((side - w) / 2), y: Math.floor((side - h) / 2), w, h };
}

function take() {
  const width = video.videoWidth, height = video.videoHeight;
  if (!ready || !width || waiting.length >= AHEAD) return;
  const at = place(width, height);
  square.fillStyle = "rgb(128,128,128)";
  square.fillRect(0, 0, side, side);
  square.drawImage(video, at.x, at.y, at.w, at.h);
  const frame = new OffscreenCanvas(width, height);
  frame.getContext("2d").drawImage(video, 0, 0);
  waiting.push({ frame, at, number: number++ });
  const pixels = square.getImageData(0, 0, side, side).data;
  worker.postMessage({ number: waiting.at(-1).number, pixels }, [pixels.buffer]);
}

function show({ frame, at }, { pixels, milliseconds }) {
  if (shown.width !== frame.width || shown.height !== frame.height) Object.assign(shown, { width: frame.width, height: frame.height });
  const { width, height } = shown;
  mask.putImageData(new ImageData(pixels, side, side), 0, 0);
  pen.globalCompositeOperation = "copy";
  pen.imageSmoothingQuality = "high";
  pen.drawImage(mask.canvas, at.x, at.y, at.w, at.h, 0, 0, width, height);
  pen.globalCompositeOperation = "source-in";
  pen.drawImage(frame, 0, 0);
  pen.globalCompositeOperation = "destination-over";
  behind(frame, width, height);
  pen.globalCompositeOperation = "source-over";
  count(milliseconds);
}

function behind(frame, width, height) {
  if (by("behind").value === "nothing") return;
  if (by("behind").value === "picture" && background) {
    const scale = Math.max(width / background.width, height / background.height);
    const w = width / scale, h = height / scale;
    pen.drawImage(background, (background.width - w) / 2, (background.height - h) / 2, w, h, 0, 0, width, height);
    return;
  }
  pen.filter = `blur(${by("blur").value}px)`;
  pen.drawImage(frame, 0, 0);
  pen.filter = "none";
  pen.drawImage(frame, 0, 0); // a blur is see-through at the picture's own border
}

function count(milliseconds) {
  const now = performance.now();
  drawn.push(now);
  took.push(milliseconds);
  while (drawn.length > 1 && now - drawn[0] > 2000) { drawn.shift(); took.shift(); }
  state.frames += 1;
  state.fps = drawn.length > 1 ? (1000 * (drawn.length - 1)) / (now - drawn[0]) : 0;
  state.milliseconds = [...took].sort((a, b) => a - b)[took.length >> 1];
  by("fps").textContent = state.fps.toFixed(1);
  by("milliseconds").textContent = state.milliseconds.toFixed(0);
}

function follow() { // every new frame of the video once
  const next = () => { take(); video.requestVideoFrameCallback(next); };
  video.requestVideoFrameCallback ? video.requestVideoFrameCallback(next) : setInterval(take, 15);
}

async function begin() {
  const from = by("source").value;
  video.srcObject?.getTracks().forEach((track) => track.stop());
  video.srcObject = null;
  try {
    if (from === "camera") {
      say("waiting for the camera …");
      video.srcObject = await navigator.mediaDevices.getUserMedia({ video: true, audio: false });
    } else if (from === "served") {
      video.src = "video";
    } else {
      const file = by("video-file").files[0];
      if (!file) return say("choose a video file");
      video.src = URL.createObjectURL(file);
    }
    await video.play();
    say("");
  } catch (error) {
    say(from === "camera" ? `no camera: ${error.message}. Allow it in the address bar, or choose a video` : `no video: ${error.message}`);
  }
}

async function choose(blob) {
  background = await createImageBitmap(blob);
  by("behind").value = "picture";
  controls();
}

function controls() {
  by("blur-label").hidden = by("behind").value !== "blur";
  by("picture-label").hidden = by("behind").value !== "picture";
  by("video-file").hidden = by("source").value !== "file";
}

by("source").onchange = () => { controls(); begin(); };
by("video-file").onchange = begin;
by("behind").onchange = controls;
by("picture").onchange = () => by("picture").files[0] && choose(by("picture").files[0]);
if (told.video) { by("source").querySelector("[value=served]").hidden = false; by("source").value = "served"; }
if (told.background) await choose(await (await fetch("background")).blob());
else if (told.blur) by("blur").value = told.blur;
controls();
follow();
