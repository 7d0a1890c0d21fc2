// Reads a QR with the browser's own detector, where it has one (Chrome on Android). Elsewhere codes are typed.

export async function canRead() {
  if (!("BarcodeDetector" in window) || !navigator.mediaDevices) return false;
  try {
    return (await BarcodeDetector.getSupportedFormats()).includes("qr_code");
  } catch {
    return false;
  }
}

// The text of the first QR that the camera sees, or null when the person closes the window.
export async function read() {
  const dialog = document.getElementById("lector");
  const video = dialog.querySelector("video");
  const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  const detector = new BarcodeDetector({ formats: ["qr_code"] });
  video.srcObject = stream;
  dialog.showModal();
  try {
    await video.play();
    while (dialog.open) {
      const [found] = await detector.detect(video);
      if (found) return found.rawValue;
      await new Promise((resolve) => { setTimeout(resolve, 150); });
    }
    return null;
  } finally {
    for (const track of stream.getTracks()) track.stop();
    video.srcObject = null;
    if (dialog.open) dialog.close();
  }
}

// A permit's or a point's code out of what a QR says: the text itself, or the last part of an address.
export function codeOf(text) {
  const plain = text.trim();
  if (!/^https?:/i.test(plain)) return plain.replaceAll(/\s/g, "").toUpperCase();
  const { searchParams, pathname } = new URL(plain);
  const part = searchParams.get("folio") ?? searchParams.get("codigo") ?? pathname.split("/").filter(Boolean).at(-1) ?? "";
  return decodeURIComponent(part).replaceAll(/\s/g, "").toUpperCase();
}
