// Runs the exported network in ONNX Runtime Web, away from the page's own thread.
import * as ort from "./ort/ort.wasm.min.mjs";

ort.env.wasm.wasmPaths = new URL("./ort/", self.location.href).href;
ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency || 1) : 1;

let session, side;

async function open(told) {
  side = told.side;
  session = await ort.InferenceSession.create(new URL("./model.onnx", self.location.href).href, { executionProviders: ["wasm"] });
  await ask(new Uint8ClampedArray(side * side * 4)); // the first call is slower
  self.postMessage({ ready: true, threads: ort.env.wasm.numThreads });
}

async function ask(pixels) {
  const plane = side * side, values = new Float32Array(3 * plane);
  for (let at = 0; at < plane; at++) {
    values[at] = pixels[4 * at] / 255;
    values[plane + at] = pixels[4 * at + 1] / 255;
    values[2 * plane + at] = pixels[4 * at + 2] / 255;
  }
  const found = await session.run({ image: new ort.Tensor("float32", values, [1, 3, side, side]) });
  return found.alpha.data;
}

async function answer(number, pixels) {
  const begun = performance.now();
  const alpha = await ask(pixels), milliseconds = performance.now() - begun;
  for (let at = 0; at < alpha.length; at++) pixels[4 * at + 3] = Math.round(255 * alpha[at]); // the page only looks at these
  self.postMessage({ number, pixels, milliseconds }, [pixels.buffer]);
}

let queue = Promise.resolve();
self.onmessage = ({ data }) => {
  queue = queue.then(() => ("number" in data ? answer(data.number, data.pixels) : open(data)))
    .catch((error) => self.postMessage({ error: String(error.message || error) }));
};
