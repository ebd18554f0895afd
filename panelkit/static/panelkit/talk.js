// A conversation opens at its newest message, and stays there while it is renewed unless its reader has scrolled up.
(() => {
    const box = () => document.querySelector(".panel-talk");
    let reading = null; // where a reader has scrolled to; null at the end

    const restore = () => {
        const talk = box();
        if (talk) talk.scrollTop = reading ?? talk.scrollHeight;
    };

    document.addEventListener("DOMContentLoaded", restore);
    document.addEventListener("htmx:beforeSwap", () => {
        const talk = box();
        const atEnd = !talk || talk.scrollHeight - talk.clientHeight - talk.scrollTop < 5;
        reading = atEnd ? null : talk.scrollTop;
    });
    document.addEventListener("htmx:afterSwap", restore);
})();
