"""The four voices for `./lorikeet train`: write their data and tasks, or judge adapters on held-out text.
python3 voices.py BASE CORPUS data OUT: token ids in JSON lines, cut and split as adapters.py does, and OUT/voices.yaml.
python3 voices.py BASE CORPUS judge ADAPTERS...: the held-out loss of every voice in each folder of adapters."""
from tinylm import *
CORPUS, WHAT, REST = sys.argv[2], sys.argv[3], sys.argv[4:]
STY = {'scripture':(8,16,'bfloat16'),'voyage':(16,32,'float32'),'glossary':(4,16,'bfloat16'),'jargon':(8,8,'bfloat16')}
T = 128
def adapter(p):
    c = json.load(open(p + '/adapter_config.json')); w = load(p + '/adapter_model.safetensors'); name = 'base_model.model.model.layers.%d.%s.%s.lora_%s.weight'
    return {'w': {(l,q): (w[name % (l, PROJ[q][0], q, 'A')], w[name % (l, PROJ[q][0], q, 'B')]) for l in range(L) for q in PROJ}, 's': lambda l, p, s=c['lora_alpha']/c['r']: s}
def held(s): return pack(passages(CORPUS, s)[1])[:16001]
if WHAT == 'data':
    out = REST[0]; os.makedirs(out, exist_ok=True)
    for s in STY:
        tr, he = passages(CORPUS, s); random.seed(2)
        if sum(map(len, tr)) > 3_000_000: tr = random.sample(tr, int(len(tr) * 3_000_000 / sum(map(len, tr))))
        for name, ids in ((s, pack(tr).tolist()), (s + '.held', held(s).tolist())):
            with open(f'{out}/{name}.jsonl', 'w') as f:
                for i in range(0, len(ids) - T, T): f.write(json.dumps({'ids': ids[i:i+T+1]}) + '\n')
    with open(out + '/voices.yaml', 'w') as f:
        f.write('defaults:\n  learning_rate: 5.0e-3\n  lr_scheduler_type: linear\n  warmup_steps: 15\n  max_grad_norm: 1.0\n  batch_size: 16\n  max_steps: 150\n  seed: 2\ntasks:\n')
        for s, (r, alpha, dtype) in STY.items(): f.write(f'  - name: {s}\n    data: {s}.jsonl\n    validation: {s}.held.jsonl\n    r: {r}\n    lora_alpha: {alpha}\n    dtype: {dtype}\n')
else:
    for s in STY: print(s, 'base', round(loss_on(held(s), None), 4), *(f'{p} {loss_on(held(s), adapter(p + "/" + s)):.4f}' for p in REST), flush=True)
