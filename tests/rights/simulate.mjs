// Judges a batch of requests: JSON on standard input, JSON on standard output. Its one argument is the folder into
// which the simulator is installed.
//
// In:  {"policies": [document, ...], "requests": [{"principal", "action", "resource", "account", "context",
//      "identity": [index, ...], "resourcePolicy": index or null}, ...]}
// Out: [{"result": "Allowed" | "ImplicitlyDenied" | "ExplicitlyDenied", "problems": [...]}, ...]
//
// A request that the simulator cannot judge as it stands (an invalid policy, an unknown action, a condition key that
// the action does not have) has problems: it must not count as denied.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'

const require = createRequire(`${process.argv[2]}/`)
const { runSimulation } = require('@cloud-copilot/iam-simulate')
const { createValidatedPolicy, validateIdentityPolicy, validateResourcePolicy } = require('@cloud-copilot/iam-policy')
const { policies, requests } = JSON.parse(readFileSync(0, 'utf8'))

// A policy is validated once: for each request it would take most of the time.
const validated = new Map()
function policy(index, validate) {
  const key = `${validate.name} ${index}`
  if (!validated.has(key)) {
    validated.set(key, createValidatedPolicy(policies[index], validate, { name: `policy-${index}` }))
  }
  return validated.get(key)
}

async function judge(request) {
  const answer = await runSimulation(
    {
      request: {
        principal: request.principal,
        action: request.action,
        resource: { resource: request.resource, accountId: request.account },
        contextVariables: request.context,
      },
      identityPolicies: request.identity.map((index) => ({
        name: `policy-${index}`,
        policy: policy(index, validateIdentityPolicy),
      })),
      resourcePolicy: request.resourcePolicy === null ? undefined : policy(request.resourcePolicy, validateResourcePolicy),
      serviceControlPolicies: [],
      resourceControlPolicies: [],
    },
    { simulationMode: 'Strict' },
  )
  if (answer.resultType !== 'single') {
    return { result: answer.resultType, problems: [JSON.stringify(answer.errors ?? answer.resultType)] }
  }
  return {
    result: answer.overallResult,
    problems: answer.result.ignoredContextKeys.map((key) => `${key} is no condition key of ${request.action}`),
  }
}

const verdicts = []
for (const request of requests) verdicts.push(await judge(request))
process.stdout.write(JSON.stringify(verdicts))
