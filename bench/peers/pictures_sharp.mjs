// Makes of a photograph what Safelight makes of it, with sharp: node … SOURCE FOLDER IDIOM.
//
// IDIOM is `clone` (one input, three outputs, each of which decodes as little as it needs) or `raw`
// (decoded once into memory).
import { createHash } from 'node:crypto'
import { copyFile, readFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import sharp from 'sharp'

const [source, folder, idiom] = process.argv.slice(2)
// The photograph's own subsampling, as Safelight's.
const jpeg = { quality: 90, chromaSubsampling: '4:2:0', mozjpeg: false, optimiseCoding: false }
const webp = { quality: 80, effort: 2 }

sharp.concurrency(1)
sharp.cache(false)

async function opened() {
  const whole = sharp(source).rotate().toColourspace('srgb')
  if (idiom === 'clone') return whole
  const { data, info } = await whole.raw().toBuffer({ resolveWithObject: true })
  return sharp(data, { raw: { width: info.width, height: info.height, channels: info.channels } })
}

async function make() {
  createHash('sha256').update(await readFile(source)).digest('hex')
  await sharp(source).metadata()
  const whole = await opened()
  // One after the other: side by side they would be two cores' work.
  await whole.clone().jpeg(jpeg).toFile(`${folder}/served.jpeg`)
  for (const [name, side] of [['preview', 1024], ['thumb', 256]]) {
    const smaller = whole.clone().resize(side, side, { fit: 'inside', withoutEnlargement: true })
    await smaller.webp(webp).toFile(`${folder}/${name}.webp`)
  }
  await copyFile(source, `${folder}/original`)
}

for await (const line of createInterface({ input: process.stdin })) {
  const took = []
  for (let left = Number(line); left > 0; left--) {
    const began = performance.now()
    await make()
    took.push((performance.now() - began) / 1000)
  }
  console.log(JSON.stringify(took))
}
