// What Khronos's glTF validator finds in files: `node gltf.js MODULES FILE...`, where MODULES is a node_modules folder that has it.
// Writes a JSON list of its reports, one for each file.

const fs = require("fs");
const path = require("path");

const [modules, ...files] = process.argv.slice(2);
const validator = require(path.join(modules, "gltf-validator"));

Promise.all(files.map((file) => validator.validateBytes(new Uint8Array(fs.readFileSync(file)), { maxIssues: 20 })))
  .then((reports) => console.log(JSON.stringify(reports)));
