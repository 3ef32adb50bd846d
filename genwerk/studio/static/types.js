// @ts-check
/**
 * What the server sends.
 *
 * @typedef {object} Field
 * @property {string} name
 * @property {string} flag
 * @property {"integer"|"number"|"text"|"choice"|"switch"|"many"} type
 * @property {string} [of]  type of the items, where there are many
 * @property {string[]} [choices]
 * @property {Record<string, string>} [told]  what each of the choices is, where that is to be said
 * @property {any} value  the default: text, or null
 * @property {boolean} optional
 * @property {boolean} required  whether it has no default
 * @property {string} help
 * @property {number|null} [least]
 * @property {boolean} [positional]
 * @property {boolean} [run]  whether it names a run
 * @property {boolean} [file]  whether an upload can stand for it
 * @property {boolean} [common]
 *
 * @typedef {object} Section
 * @property {string} title
 * @property {string} about
 * @property {Field[]} fields
 *
 * @typedef {object} Command
 * @property {string} name
 * @property {string} group
 * @property {string} summary
 * @property {string} help
 * @property {string[]} needs
 * @property {boolean} opens
 * @property {string} output
 * @property {Section[]} sections
 *
 * @typedef {object} RunEntry
 * @property {string} run  its path below the root
 * @property {string} recipe
 * @property {string} data
 * @property {string} state
 * @property {string} stands
 * @property {string} kind
 * @property {string[]} does
 * @property {import("./api.js").Named|null} picture
 * @property {string} changed
 *
 * @typedef {object} Spec
 * @property {string} kind
 * @property {string} [said]
 * @property {number[]} shape
 * @property {string[]} [classes]  the first of them
 * @property {number} [class_count]
 * @property {string[]} [columns]
 * @property {string} [condition]  by which option a condition is given; empty where the model has none
 *
 * @typedef {RunEntry & {spec: Spec, latent: number, commands: Command[], settings: [string, any][],
 *   report: {table: any[]}|null, samples: import("./api.js").Named[], files: {name: string, url: import("./api.js").Named}[]}} Run
 *
 * @typedef {object} Job
 * @property {string} job
 * @property {string} command
 * @property {string|null} run
 * @property {"queued"|"running"|"starting"|"measuring"|"stopping"|"done"|"failed"|"cancelled"} state
 * @property {number|null} place
 * @property {string|null} error
 * @property {number|string} made
 * @property {boolean} training
 * @property {boolean} shows  whether the run of that name is what this training has made
 *
 * @typedef {object} Upload
 * @property {string} upload
 * @property {string} name
 * @property {string} kind
 * @property {number} files
 * @property {import("./api.js").Named[]} thumbnails
 * @property {string[]} skipped
 *
 * @typedef {object} Recipe
 * @property {string} name
 * @property {string} summary
 * @property {string} family
 * @property {string[]} kinds
 * @property {string[]} does
 * @property {string[]} by
 * @property {string} why
 */
export {};
