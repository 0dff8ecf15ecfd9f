// What the wearer sees: a grid on the floor, and boxes where controllers and joints are. Raw WebGL2, into the session's own layer.

const GRID_METRES = 5, EYE_HEIGHT = 1.6;
const GRID_COLOUR = [0.30, 0.42, 0.55];
const NIGHT = [0.05, 0.07, 0.10, 1], CLEAR = [0, 0, 0, 0]; // behind what is clear a headset shows what its cameras see
const COLOURS = { hand: [0.98, 0.72, 0.35], controller: [0.35, 0.78, 0.98] };
const CONTROLLER_EDGE = 0.05, JOINT_EDGE = 0.014;

const VERTEX = `#version 300 es
uniform mat4 projection, view;
uniform vec3 offset;
uniform float size;
uniform vec4 turn;
in vec3 corner;
out float height;
void main() {
  vec3 scaled = corner * size;
  vec3 turned = scaled + 2.0 * cross(turn.xyz, cross(turn.xyz, scaled) + turn.w * scaled);
  height = corner.y;
  gl_Position = projection * view * vec4(turned + offset, 1.0);
}`;
const FRAGMENT = `#version 300 es
precision mediump float;
uniform vec3 colour;
in float height;
out vec4 painted;
void main() { painted = vec4(colour * (0.8 + 0.4 * height), 1.0); }`;
const UNIFORMS = ["projection", "view", "offset", "size", "turn", "colour"];

/** Draws a session's frames. An inline session's go to the canvas, in the others' the canvas only lends its context. */
export class Drawing {
  #gl;
  #session;
  #mode;
  #program;
  #uniforms;
  #grid;
  #box;

  static async on(canvas, session, mode) {
    const gl = canvas.getContext("webgl2", { xrCompatible: mode !== "inline", alpha: true, antialias: true });
    if (!gl) throw new Error("this browser draws no WebGL2, which a session needs");
    if (mode !== "inline") await gl.makeXRCompatible();
    session.updateRenderState({ baseLayer: new XRWebGLLayer(session, gl) });
    return new Drawing(gl, session, mode);
  }

  constructor(gl, session, mode) {
    this.#gl = gl;
    this.#session = session;
    this.#mode = mode;
    this.#program = linked(gl);
    this.#uniforms = Object.fromEntries(UNIFORMS.map((name) => [name, gl.getUniformLocation(this.#program, name)]));
    this.#grid = shape(gl, this.#program, gridCorners());
    this.#box = shape(gl, this.#program, boxCorners());
    gl.useProgram(this.#program);
    gl.enable(gl.DEPTH_TEST);
  }

  draw(frame, { space, type }, samples) {
    const gl = this.#gl, layer = this.#session.renderState.baseLayer, pose = frame.getViewerPose(space);
    gl.bindFramebuffer(gl.FRAMEBUFFER, layer.framebuffer);
    gl.clearColor(...(this.#mode === "immersive-ar" ? CLEAR : NIGHT));
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    for (const view of pose?.views ?? []) this.#drawView(this.#viewport(layer, view), view, type, samples);
  }

  release() {
    for (const { vertices, buffer } of [this.#grid, this.#box]) {
      this.#gl.deleteVertexArray(vertices);
      this.#gl.deleteBuffer(buffer);
    }
    this.#gl.deleteProgram(this.#program);
  }

  /** An inline session has all of the canvas, of which some browsers count only as many pixels as it takes on the screen. */
  #viewport(layer, view) {
    const { drawingBufferWidth: width, drawingBufferHeight: height } = this.#gl;
    return this.#mode === "inline" ? { x: 0, y: 0, width, height } : layer.getViewport(view);
  }

  #drawView({ x, y, width, height }, view, type, samples) {
    const gl = this.#gl;
    gl.viewport(x, y, width, height);
    gl.uniformMatrix4fv(this.#uniforms.projection, false, view.projectionMatrix);
    gl.uniformMatrix4fv(this.#uniforms.view, false, view.transform.inverse.matrix);
    this.#drawGrid(type === "local-floor" ? 0 : -EYE_HEIGHT);
    for (const sample of samples) this.#drawDevice(sample);
  }

  #drawGrid(height) {
    this.#place({ x: 0, y: height, z: 0 }, { x: 0, y: 0, z: 0, w: 1 }, 1, GRID_COLOUR);
    this.#paint(this.#grid, this.#gl.LINES);
  }

  #drawDevice({ device, position, orientation, joints = [] }) {
    if (device.startsWith("controller.")) this.#drawBox(position, orientation, CONTROLLER_EDGE, COLOURS.controller);
    for (const joint of joints) this.#drawBox(joint.position, joint.orientation, 2 * joint.radius || JOINT_EDGE, COLOURS.hand);
  }

  #drawBox(position, orientation, edge, colour) {
    this.#place(position, orientation, edge, colour);
    this.#paint(this.#box, this.#gl.TRIANGLES);
  }

  #place({ x, y, z }, turn, size, colour) {
    const gl = this.#gl;
    gl.uniform3f(this.#uniforms.offset, x, y, z);
    gl.uniform4f(this.#uniforms.turn, turn.x, turn.y, turn.z, turn.w);
    gl.uniform1f(this.#uniforms.size, size);
    gl.uniform3fv(this.#uniforms.colour, colour);
  }

  #paint({ vertices, count }, kind) {
    this.#gl.bindVertexArray(vertices);
    this.#gl.drawArrays(kind, 0, count);
  }
}

function linked(gl) {
  const program = gl.createProgram();
  for (const [kind, source] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(`WebGL refuses a program: ${gl.getProgramInfoLog(program)}`);
  return program;
}

function shape(gl, program, corners) {
  const vertices = gl.createVertexArray(), buffer = gl.createBuffer(), place = gl.getAttribLocation(program, "corner");
  gl.bindVertexArray(vertices);
  gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
  gl.bufferData(gl.ARRAY_BUFFER, new Float32Array(corners), gl.STATIC_DRAW);
  gl.enableVertexAttribArray(place);
  gl.vertexAttribPointer(place, 3, gl.FLOAT, false, 0, 0);
  return { vertices, buffer, count: corners.length / 3 };
}

/** Squares of a metre. Each edge is a line of its own: long ones that pass behind the eye are not drawn well everywhere. */
function gridCorners() {
  const corners = [];
  for (let across = -GRID_METRES; across <= GRID_METRES; across += 1) {
    for (let along = -GRID_METRES; along < GRID_METRES; along += 1) {
      corners.push(across, 0, along, across, 0, along + 1, along, 0, across, along + 1, 0, across);
    }
  }
  return corners;
}

/** A cube with edges of one, around the origin: two triangles for each of its sides. */
function boxCorners() {
  const square = [[-1, -1], [1, -1], [1, 1], [-1, -1], [1, 1], [-1, 1]];
  const sides = [0, 1, 2].flatMap((axis) => [-1, 1].map((side) => ({ axis, side })));
  return sides.flatMap(({ axis, side }) => square.flatMap(([u, v]) => {
    const corner = [u, v];
    corner.splice(axis, 0, side);
    return corner.map((value) => value / 2);
  }));
}
