/** What the page remembers of a person, in their browser only. */
export interface Preferences {
  name?: string;
  camera?: string;
  microphone?: string;
  cameraOn?: boolean;
  microphoneOn?: boolean;
  locale?: string;
  /** Where sound goes. */
  speaker?: string;
  processing?: { echoCancellation: boolean; noiseSuppression: boolean; autoGainControl: boolean };
  screenContent?: 'text' | 'motion';
  layout?: string;
  /** Whether the background is blurred. */
  blur?: boolean;
}

const KEY = 'althing';

/** Remembering may be forbidden by the browser: then it lasts as long as the page. */
class Store {
  #values: Preferences | undefined;

  read(): Preferences {
    return (this.#values ??= load());
  }

  write(change: Preferences): void {
    this.#values = { ...this.read(), ...change };
    try {
      localStorage.setItem(KEY, JSON.stringify(this.#values));
    } catch {
      // Kept in memory.
    }
  }
}

function load(): Preferences {
  try {
    const value: unknown = JSON.parse(localStorage.getItem(KEY) ?? '{}');
    return typeof value === 'object' && value !== null ? (value as Preferences) : {};
  } catch {
    return {};
  }
}

export const preferences = new Store();
