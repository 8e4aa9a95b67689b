/** Shows a GLB to turn around; the viewer's code is a megabyte and loads only here. */

import { el } from "./dom.js";
import { pictureOf } from "./media.js";
import { safeUrl } from "./urls.js";

/** Fills `area` with the model of `asset`, or with its picture where the viewer cannot run. */
export async function showModel(area, asset, title) {
  const note = el("p", { class: "stage-note", role: "status" }, "Loading the 3D viewer…");
  const poster = pictureOf(asset);
  const still = poster && el("img", { src: poster.src, alt: title });
  area.append(...[still, note].filter(Boolean));
  try {
    await import("../vendor/model-viewer.min.js");
  } catch {
    note.textContent = "The 3D viewer is not installed here (make assets fetches it). The file can be downloaded.";
    return;
  }
  if (!note.isConnected) return; // the person went on meanwhile
  area.append(modelViewer(asset, title, note, still), tools(area));
}

function modelViewer(asset, title, note, still) {
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const viewer = el("model-viewer", {
    src: safeUrl(asset.url), alt: `3D model: ${title}`, "camera-controls": true, "auto-rotate": !calm,
    "auto-rotate-delay": 400, "rotation-per-second": "24deg", "shadow-intensity": 1, "shadow-softness": 0.9,
    exposure: 1.05, "interaction-prompt": "none", "touch-action": "pan-y",
  });
  viewer.addEventListener("load", () => {
    still?.remove();
    note.textContent = "Drag to turn · scroll to zoom";
    setTimeout(() => note.remove(), 4000);
  });
  viewer.addEventListener("error", () => {
    note.textContent = "This model cannot be shown here. The file can be downloaded.";
  });
  return viewer;
}

function tools(area) {
  const viewer = () => area.querySelector("model-viewer");
  const turn = el("button", {
    type: "button", class: "quiet-button",
    "aria-pressed": String(!matchMedia("(prefers-reduced-motion: reduce)").matches),
    on: {
      click: () => {
        viewer().autoRotate = !viewer().autoRotate;
        turn.setAttribute("aria-pressed", String(viewer().autoRotate));
      },
    },
  }, "Turntable");
  const front = el("button", {
    type: "button", class: "quiet-button",
    on: {
      click: () => {
        viewer().resetTurntableRotation(0);
        viewer().cameraOrbit = "0deg 75deg auto";
      },
    },
  }, "Front");
  return el("div", { class: "stage-tools" }, front, turn);
}
