import loader from '@twilio/video-processors/dist/build/tflite-simd-1-0-0.js';
import program from '@twilio/video-processors/dist/build/tflite-simd-1-0-0.wasm?url';
import model from '@twilio/video-processors/dist/build/selfie_segmentation_landscape.tflite?url';

/** TensorFlow Lite as WebAssembly, with one model. */
interface Runtime {
  readonly HEAPU8: Uint8Array;
  readonly HEAPF32: Float32Array;
  _getModelBufferMemoryOffset(): number;
  _loadModel(bytes: number): number;
  _getInputMemoryOffset(): number;
  _getInputWidth(): number;
  _getInputHeight(): number;
  _getOutputMemoryOffset(): number;
  _runInference(): number;
}

/** Tells how sure it is that pixels are of a person: MediaPipe's model for selfies in landscape format, run by TensorFlow Lite. */
export class Segmenter {
  readonly width: number;
  readonly height: number;
  readonly #runtime: Runtime;

  private constructor(runtime: Runtime) {
    this.#runtime = runtime;
    [this.width, this.height] = [runtime._getInputWidth(), runtime._getInputHeight()];
  }

  static async load(): Promise<Segmenter> {
    const [runtime, bytes] = await Promise.all([loader({ locateFile: () => program }) as Promise<Runtime>, bytesOf(model)]);
    runtime.HEAPU8.set(bytes, runtime._getModelBufferMemoryOffset());
    if (runtime._loadModel(bytes.length) !== 0) throw new Error('the model cannot be run here');
    return new Segmenter(runtime);
  }

  /** A number for each pixel, from 0 to 1; the next call overwrites it. @param rgba a picture of `width` × `height` */
  look(rgba: Uint8ClampedArray): Float32Array {
    const { HEAPF32: heap } = this.#runtime;
    const pixels = this.width * this.height;
    const input = this.#runtime._getInputMemoryOffset() / 4;
    for (let pixel = 0; pixel < pixels; pixel++) {
      for (let colour = 0; colour < 3; colour++) heap[input + 3 * pixel + colour] = (rgba[4 * pixel + colour] ?? 0) / 255;
    }
    if (this.#runtime._runInference() !== 0) throw new Error('the model has failed');
    const output = this.#runtime._getOutputMemoryOffset() / 4;
    return heap.subarray(output, output + pixels);
  }
}

async function bytesOf(address: string): Promise<Uint8Array> {
  const response = await fetch(address);
  if (!response.ok) throw new Error(`the model cannot be loaded (${response.status})`);
  return new Uint8Array(await response.arrayBuffer());
}
