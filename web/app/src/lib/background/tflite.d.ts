declare module '@twilio/video-processors/dist/build/tflite-simd-1-0-0.js' {
  /** Starts TensorFlow Lite; what it consists of is asked for by name. */
  const start: (options: { locateFile: (name: string) => string }) => Promise<unknown>;
  export default start;
}
