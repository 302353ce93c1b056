/**
 * Calls of the driver API, typed by its description (`npm run api` writes schema.d.ts from docs/openapi.yaml).
 *
 * Every write carries an Idempotency-Key where the API asks for one: the caller makes it once per intention, so that a
 * repeated tap or a lost answer never does a thing twice.
 */
import type { paths } from './schema'
import { API_BASE } from './base'
import { language } from '@/utils/language'
import { session, type Pair } from './session'

type Method = 'get' | 'post' | 'put' | 'patch' | 'delete'
type Op<P extends keyof paths, M extends Method> = M extends keyof paths[P] ? paths[P][M] : never
export type PathsWith<M extends Method> = {
  [P in keyof paths]: M extends keyof paths[P] ? (paths[P][M] extends { responses: unknown } ? P : never) : never
}[keyof paths]
type Json<R> = R extends { content: { 'application/json': infer T } } ? T : void
type Answers<O> = O extends { responses: infer R } ? R : never
export type Output<P extends keyof paths, M extends Method> = Json<
  Answers<Op<P, M>>[keyof Answers<Op<P, M>> & (200 | 201 | 202 | 204)]
>
export type Body<P extends keyof paths, M extends Method> =
  Op<P, M> extends { requestBody?: { content: { 'application/json': infer T } } } ? T : undefined
type Params<O, Where extends string> = O extends { parameters: { [K in Where]?: infer T } } ? NonNullable<T> : never

export interface Options<P extends keyof paths, M extends Method> {
  path?: Params<Op<P, M>, 'path'>
  query?: Params<Op<P, M>, 'query'>
  body?: Body<P, M>
  /** Idempotency-Key of a write. */
  key?: string
}

/** What the API answered when it refused, or `network` when there was no answer. */
export class ApiError extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly status: number,
    readonly data: Record<string, unknown> = {},
  ) {
    super(message)
  }

  /** Whether trying again may help: no answer, or the server was not able to. */
  get mayPass(): boolean {
    return this.status === 0 || this.status >= 500 || this.status === 429
  }
}

const TIMEOUT_MS = 15_000

export function get<P extends PathsWith<'get'>>(path: P, options: Options<P, 'get'> = {}) {
  return call(path, 'get', options)
}

export function post<P extends PathsWith<'post'>>(path: P, options: Options<P, 'post'> = {}) {
  return call(path, 'post', options)
}

export function put<P extends PathsWith<'put'>>(path: P, options: Options<P, 'put'> = {}) {
  return call(path, 'put', options)
}

export function patch<P extends PathsWith<'patch'>>(path: P, options: Options<P, 'patch'> = {}) {
  return call(path, 'patch', options)
}

export function del<P extends PathsWith<'delete'>>(path: P, options: Options<P, 'delete'> = {}) {
  return call(path, 'delete', options)
}

/** Fill `{name}` in a path and add the query; undefined and null are left out. */
export function address(path: string, inPath: object = {}, query: object = {}): string {
  const filled = path.replace(/\{(\w+)\}/g, (_, name) =>
    encodeURIComponent(String((inPath as Record<string, unknown>)[name])),
  )
  const pairs = Object.entries(query)
    .filter(([, value]) => value !== undefined && value !== null && value !== '')
    .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(String(value))}`)
  return API_BASE + filled + (pairs.length ? `?${pairs.join('&')}` : '')
}

async function call<P extends keyof paths, M extends Method>(
  path: P,
  method: M,
  options: Options<P, M>,
): Promise<Output<P, M>> {
  const asked = session.token
  let answer = await send(String(path), method, options)
  if (answer.statusCode === 401 && asked && (await renewed(asked))) answer = await send(String(path), method, options)
  if (answer.statusCode >= 200 && answer.statusCode < 300) return answer.data as Output<P, M>
  const refused = problem(answer.statusCode, answer.data)
  if (refused.status !== 401) throw refused
  session.end()
  // What is for everybody is also for who was signed in until now; all else is refused once more.
  if (asked && method === 'get') answer = await send(String(path), method, options)
  if (answer.statusCode >= 200 && answer.statusCode < 300) return answer.data as Output<P, M>
  throw refused
}

let renewing: Promise<boolean> | null = null

/**
 * Another token for the one that was refused. Many calls may be refused at once: the refresh token works once, so that
 * they share one renewal. Without an answer nobody is signed out: the next call tries again. The server answers the same
 * request again and takes any other use of an old refresh token for theft, so that each token has one key for good.
 */
async function renewed(refused: string): Promise<boolean> {
  if (session.token === refused) session.adopt()
  if (session.token && session.token !== refused) return true
  if (!session.refresh) return false
  renewing ??= renew().finally(() => (renewing = null))
  return renewing
}

async function renew(): Promise<boolean> {
  if (!session.renewal) session.renewBy(newKey())
  const body = { refresh_token: session.refresh }
  const answer = await send('/api/v1/auth/refresh', 'post', { body, key: session.renewal })
  if (answer.statusCode === 200) session.begin(answer.data as Pair)
  else if (answer.statusCode >= 500 || answer.statusCode === 429) throw problem(answer.statusCode, answer.data)
  return answer.statusCode === 200
}

interface Plain {
  path?: object
  query?: object
  body?: unknown
  key?: string
}

function send(path: string, method: Method, options: Plain): Promise<UniApp.RequestSuccessCallbackResult> {
  const header: Record<string, string> = { 'Accept-Language': language(), 'Content-Type': 'application/json' }
  if (session.token) header.Authorization = `Bearer ${session.token}`
  if (options.key) header['Idempotency-Key'] = options.key
  return new Promise((resolve, reject) => {
    uni.request({
      url: address(path, options.path, options.query),
      // The types of the framework lack PATCH for one platform, which passes it on all the same.
      method: method.toUpperCase() as 'GET',
      data: options.body as object,
      header,
      timeout: TIMEOUT_MS,
      success: resolve,
      fail: (failure) => reject(new ApiError('network', failure.errMsg, 0)),
    })
  })
}

/** Read the one error shape of the API: {code, message, data}. */
export function problem(status: number, body: unknown): ApiError {
  const shape = (typeof body === 'object' && body ? body : {}) as Record<string, unknown>
  return new ApiError(
    typeof shape.code === 'string' ? shape.code : 'unknown',
    typeof shape.message === 'string' ? shape.message : '',
    status,
    (shape.data as Record<string, unknown>) ?? {},
  )
}

/** A key for one intention of the driver. */
export function newKey(): string {
  const bytes = Array.from({ length: 16 }, () => Math.floor(Math.random() * 256))
  return bytes.map((byte) => byte.toString(16).padStart(2, '0')).join('')
}
