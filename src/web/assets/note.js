// Asks again until there is something else to show, and leaves whoever reads in peace until then.
"use strict";
setInterval(async () => {
  try {
    const answer = await fetch(location.href, { cache: "no-store", redirect: "error", signal: AbortSignal.timeout(10000) });
    if (answer.status !== Number(document.body.dataset.status)) location.reload();
  } catch {
    // The daemon does not answer: the next time, perhaps.
  }
}, 3000);
