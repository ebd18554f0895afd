// What all live parts of the panel share. They ask nothing while nobody looks at the page, ask more and more rarely
// while the server does not answer, and say on the page that it may be out of date, and why. htmx's parts ("every 3s")
// are watched here; a script that asks by itself uses window.panelLive.
window.panelLive = (() => {
  "use strict";
  const FIRST_SECONDS = 4;
  const MOST_SECONDS = 60;
  const LOGIN = "/admin/login/";
  let failures = 0;
  let notBefore = 0;

  const bar = () => {
    let found = document.getElementById("panel-live-notice");
    if (!found) {
      found = document.createElement("div");
      found.id = "panel-live-notice";
      found.setAttribute("role", "status");
      found.hidden = true;
      document.body.append(found);
    }
    return found;
  };

  const say = (text, address) => {
    const notice = bar();
    notice.textContent = text;
    if (address) {
      const link = document.createElement("a");
      link.href = address;
      link.target = "_blank";
      link.textContent = "Log in again";
      notice.append(" ", link);
    }
    notice.hidden = false;
  };

  const later = () => {
    failures += 1;
    const seconds = Math.min(FIRST_SECONDS * 2 ** (failures - 1), MOST_SECONDS);
    notBefore = Date.now() + seconds * 1000;
    return seconds;
  };

  return {
    mayAsk: () => !document.hidden && Date.now() >= notBefore,
    answered: () => {
      failures = 0;
      notBefore = 0;
      if (!bar().hidden) bar().hidden = true;
    },
    failed: (why) => say(`This page may be out of date: ${why}. It asks again in ${later()} s.`),
    gone: (what) => say(`${what}: it was deleted meanwhile.`),
    changed: () => say("This has changed meanwhile. Copy what you have not saved, and open the page again."),
    // Another window may log in: this one goes on then, with what was typed here.
    loginEnded: () => {
      later();
      say("Your login has ended, and this page may be out of date.", `${LOGIN}?next=/admin/`);
    },
    // The panel's own login page, to which a request without a login is redirected; accounts have login pages, too.
    isLogin: (address) => new URL(address, location.href).pathname === LOGIN,
  };
})();

(() => {
  "use strict";
  const live = window.panelLive;
  // "every 3s", or "load delay:300ms, every 1s".
  const isLive = (event) => /(^|,)\s*every\s/.test(event.detail.elt?.getAttribute?.("hx-trigger") || "");

  const watch = (name, act) => document.addEventListener(name, (event) => isLive(event) && act(event));
  watch("htmx:beforeRequest", (event) => live.mayAsk() || event.preventDefault());
  watch("htmx:beforeSwap", (event) => {
    if (live.isLogin(event.detail.xhr.responseURL)) {
      event.detail.shouldSwap = false;
      live.loginEnded();
    } else if (event.detail.xhr.status < 400) {
      live.answered();
    }
  });
  watch("htmx:responseError", (event) => live.failed(`the server answered ${event.detail.xhr.status}`));
  watch("htmx:sendError", () => live.failed("the server does not answer"));

  // The fields below a live part say the same as it does. When the row has changed they are read anew; when other
  // fields than before can be edited, the whole page is, unless something in it has not been saved.
  const RENEWS_AFTER_MS = 10000;
  let version;
  let renewedAt = 0;
  const form = () => document.querySelector("#content-main form[id$=_form]");
  const texts = (of) => [...(of?.querySelectorAll(".readonly") || [])];
  const inputs = (of) => of?.querySelectorAll("input:not([type=hidden]), select, textarea").length || 0;

  const renew = async (wanted) => {
    if (Date.now() - renewedAt < RENEWS_AFTER_MS) return;
    renewedAt = Date.now();
    const answer = await fetch(location.href, { redirect: "manual" }).catch(() => null);
    if (!answer?.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const [here, there] = [form(), page.querySelector("#content-main form[id$=_form]")];
    const [old, fresh] = [texts(here), texts(there)];
    if (old.length === fresh.length && inputs(here) === inputs(there)) {
      old.forEach((one, place) => { one.innerHTML = fresh[place].innerHTML; });
      version = wanted;
    } else if (!window.panelUnsaved?.()) {
      location.reload();
    } else {
      version = wanted;
      live.changed();
    }
  };

  document.addEventListener("DOMContentLoaded", () => {
    version = document.getElementById("live")?.dataset.version;
  });
  document.addEventListener("htmx:afterSwap", () => {
    const now = document.getElementById("live")?.dataset.version;
    if (now && now !== version) renew(now);
  });
})();
