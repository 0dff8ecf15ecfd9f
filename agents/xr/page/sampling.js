// What an XRFrame knows of the headset, the hands and the controllers, in metres and in the session's reference space.

import { AXES, BUTTONS, JOINTS } from "./layout.js";

/** A sample of each device that is tracked in this frame, each device once. In the space `viewer` the head never moves: that is made up. */
export function samplesOf(frame, { type, space }) {
  const head = sampleOf("head", frame.getViewerPose(space));
  if (head && type === "viewer") head.tracking = "emulated";
  const samples = head ? [head] : [];
  for (const source of frame.session.inputSources) {
    const sample = sampleSource(frame, space, source);
    if (sample && samples.every(({ device }) => device !== sample.device)) samples.push(sample);
  }
  return samples;
}

function sampleSource(frame, space, source) {
  if (source.handedness !== "left" && source.handedness !== "right") return null;
  return source.hand ? sampleHand(frame, space, source) : sampleController(frame, space, source);
}

/** A hand is where its wrist is. One that hides a joint is not tracked. */
function sampleHand(frame, space, { hand, handedness }) {
  const poses = Array.from(hand.values(), (joint) => frame.getJointPose(joint, space));
  if (poses.length !== JOINTS || !poses.every(Boolean)) return null;
  return { ...sampleOf(`hand.${handedness}`, poses[0]), joints: poses.map(jointOf) };
}

function sampleController(frame, space, { gripSpace, handedness, gamepad }) {
  const sample = gripSpace && sampleOf(`controller.${handedness}`, frame.getPose(gripSpace, space));
  if (!sample) return null;
  const buttons = gamepad ? Array.from(gamepad.buttons).slice(0, BUTTONS) : [];
  const axes = gamepad ? Array.from(gamepad.axes).slice(0, AXES) : [];
  return { ...sample, buttons, axes };
}

/** null: there is no pose, so the device is not tracked. */
function sampleOf(device, pose) {
  if (!pose) return null;
  const { transform, emulatedPosition, linearVelocity, angularVelocity } = pose;
  const tracking = emulatedPosition ? "emulated" : "tracked";
  return { device, tracking, position: transform.position, orientation: transform.orientation, linearVelocity, angularVelocity };
}

function jointOf({ transform, radius }) {
  return { position: transform.position, orientation: transform.orientation, radius: radius || 0 }; // 0: not known
}
