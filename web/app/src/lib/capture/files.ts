/** A name for a file of a call: the room, the day and the time, so that names sort. */
export function fileName(room: string, at: Date, ending: string): string {
  const two = (value: number) => String(value).padStart(2, '0');
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  const time = `${two(at.getHours())}${two(at.getMinutes())}${two(at.getSeconds())}`;
  return `${room.replace(/[^\w.-]+/g, '_') || 'call'}-${day}-${time}.${ending}`;
}

/** Gives a file to the browser, to be kept where it keeps what is downloaded. */
export function download(file: Blob, name: string): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(file);
  link.download = name;
  link.click();
  // The browser has begun to read it by then.
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** The picture as a file. */
export function toPng(canvas: HTMLCanvasElement): Promise<Blob> {
  return new Promise((resolve, reject) => canvas.toBlob((file) => (file ? resolve(file) : reject(new Error('no picture was made'))), 'image/png'));
}

/** The size of a file in words of a language. */
export function sizeText(bytes: number, locale: string): string {
  const [unit, power] = bytes >= 1e9 ? (['gigabyte', 1e9] as const) : bytes >= 1e6 ? (['megabyte', 1e6] as const) : (['kilobyte', 1e3] as const);
  const number = bytes / power;
  return new Intl.NumberFormat(locale, { style: 'unit', unit, maximumFractionDigits: number < 10 ? 1 : 0 }).format(number);
}
