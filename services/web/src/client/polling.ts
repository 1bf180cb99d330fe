// Asking again and again, for what no stream tells of.

import { useEffect } from "preact/hooks";

/** Again every two seconds while it is looked at, and once at the end. */
export function usePolling(open: boolean, look: () => Promise<unknown>): void {
  useEffect(() => {
    let timer = 0;
    let ended = false;
    const again = (): void => {
      const looking = document.hidden ? Promise.resolve() : look();
      void looking.finally(() => {
        if (!ended && open) timer = setTimeout(again, 2000) as unknown as number;
      });
    };
    again();
    return () => {
      ended = true;
      clearTimeout(timer);
    };
  }, [open]);
}
