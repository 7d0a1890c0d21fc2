// A photo as it is kept: no larger than needed to read a stall's sign, without the camera's own notes
// (EXIF), and with the hash of exactly the bytes that will be sent.
import { sha256 } from "./seal.js";
import { uuid7 } from "./ids.js";

const LONGEST_PX = 1600;
const QUALITY = 0.85;

// {note: {id, sha256, size_bytes, captured_at}, bytes}; throws where the file is no picture.
export async function capture(file) {
  const picture = await createImageBitmap(file, { imageOrientation: "from-image" });
  const scale = Math.min(1, LONGEST_PX / Math.max(picture.width, picture.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(picture.width * scale);
  canvas.height = Math.round(picture.height * scale);
  canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
  picture.close();
  const blob = await new Promise((resolve) => { canvas.toBlob(resolve, "image/jpeg", QUALITY); });
  const bytes = await blob.arrayBuffer();
  const note = {
    id: uuid7(),
    sha256: await sha256(bytes),
    size_bytes: bytes.byteLength,
    captured_at: new Date().toISOString(),
  };
  return { note, bytes };
}

export const asUrl = (bytes) => URL.createObjectURL(new Blob([bytes], { type: "image/jpeg" }));
