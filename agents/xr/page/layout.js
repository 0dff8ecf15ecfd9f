// The bytes that page and agent send each other: docs/xr-wire.md has the layout, wire/codec.py is its other side.

const VERSION = 1;
const FRAME = 1, PING = 2, PONG = 3, ECHO = 4, SHOWN = 5;
const EMULATED = 1, LINEAR = 2, ANGULAR = 4, JOINTED = 8;
const PRESSED = 1, TOUCHED = 2;
const FRAME_HEAD_BYTES = 24, SAMPLE_HEAD_BYTES = 4, JOINT_BYTES = 32, BUTTON_BYTES = 5;
const LARGEST_FRAME = 2352;

export const JOINTS = 25;
export const BUTTONS = 32;
export const AXES = 16;
const DEVICES = ["head", "hand.left", "hand.right", "controller.left", "controller.right"]; // by their numbers

const scratch = new DataView(new ArrayBuffer(LARGEST_FRAME)); // each frame is copied out of it when it is sent

/** A frame's bytes, good until the next frame is written. */
export function encodeFrame({ sequence, sampled, sent, samples }) {
  begin(scratch, FRAME, sequence);
  scratch.setUint8(2, samples.length);
  scratch.setUint8(3, 0);
  scratch.setFloat64(8, sampled, true);
  scratch.setFloat64(16, sent, true);
  const end = samples.reduce(putSample, FRAME_HEAD_BYTES);
  return new Uint8Array(scratch.buffer, 0, end);
}

export function encodePing({ number, asked }) {
  return timed(PING, number, asked);
}

/** What the overlay's page says of a picture that it has shown. */
export function encodeShown({ sequence, shown }) {
  return timed(SHOWN, sequence, shown);
}

/** The four times of a round trip; those of the agent are BigInts of nanoseconds. */
export function encodeEcho({ number, asked, received, sent, answered }) {
  const view = begin(new DataView(new ArrayBuffer(40)), ECHO, number);
  view.setFloat64(8, asked, true);
  view.setBigInt64(16, received, true);
  view.setBigInt64(24, sent, true);
  view.setFloat64(32, answered, true);
  return view;
}

/** The agent's answer to a ping, from an ArrayBuffer; null: it is none. */
export function decodePong(data) {
  const view = new DataView(data);
  if (view.byteLength !== 32 || view.getUint8(0) !== PONG || view.getUint8(1) !== VERSION) return null;
  return {
    number: view.getUint32(4, true),
    asked: view.getFloat64(8, true),
    received: view.getBigInt64(16, true),
    sent: view.getBigInt64(24, true),
  };
}

function begin(view, kind, number) {
  view.setUint8(0, kind);
  view.setUint8(1, VERSION);
  view.setUint32(4, number, true);
  return view;
}

function timed(kind, number, time) {
  const view = begin(new DataView(new ArrayBuffer(16)), kind, number);
  view.setFloat64(8, time, true);
  return view;
}

/** Writes a sample; returns where the next one begins. */
function putSample(at, sample) {
  const { linearVelocity, angularVelocity, joints = [], buttons = [], axes = [] } = sample;
  scratch.setUint8(at, DEVICES.indexOf(sample.device));
  scratch.setUint8(at + 1, flagsOf(sample));
  scratch.setUint8(at + 2, buttons.length);
  scratch.setUint8(at + 3, axes.length);
  let end = putPlace(at + SAMPLE_HEAD_BYTES, sample);
  if (linearVelocity) end = putVector(end, linearVelocity);
  if (angularVelocity) end = putVector(end, angularVelocity);
  end = joints.reduce(putJoint, end);
  end = buttons.reduce(putButton, end);
  return axes.reduce(putFloat, end);
}

function flagsOf({ tracking, linearVelocity, angularVelocity, joints = [] }) {
  const emulated = tracking === "emulated" ? EMULATED : 0, jointed = joints.length ? JOINTED : 0;
  return emulated | (linearVelocity ? LINEAR : 0) | (angularVelocity ? ANGULAR : 0) | jointed;
}

function putPlace(at, { position, orientation }) {
  return putFloat(putVector(putVector(at, position), orientation), orientation.w);
}

function putVector(at, { x, y, z }) {
  return putFloat(putFloat(putFloat(at, x), y), z);
}

function putFloat(at, value) {
  scratch.setFloat32(at, value, true);
  return at + 4;
}

function putJoint(at, joint) {
  putFloat(putPlace(at, joint), joint.radius);
  return at + JOINT_BYTES;
}

function putButton(at, { pressed, touched, value }) {
  scratch.setUint8(at, (pressed ? PRESSED : 0) | (touched ? TOUCHED : 0));
  scratch.setFloat32(at + 1, value, true);
  return at + BUTTON_BYTES;
}
