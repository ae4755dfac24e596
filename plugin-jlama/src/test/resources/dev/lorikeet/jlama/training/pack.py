"""Packs reference runs for the tests. Usage: pack.py RUNS OUT"""
import json, os, shutil, struct, sys
import numpy as np
runs, out = sys.argv[1:3]
def read(path):
    with open(path, 'rb') as f:
        n = struct.unpack('<Q', f.read(8))[0]; head = json.loads(f.read(n)); body = f.read()
    return {k: np.frombuffer(body[v['data_offsets'][0]:v['data_offsets'][1]], '<f4') for k, v in head.items() if k != '__metadata__'}
def write(path, tensors):
    head, at = {}, 0
    for k in sorted(tensors):
        t = tensors[k]; head[k] = dict(dtype='F32', shape=[len(t)], data_offsets=[at, at + 4*len(t)]); at += 4*len(t)
    h = json.dumps(head, separators=(',', ':')).encode(); h += b' ' * (-len(h) % 8)
    with open(path, 'wb') as f:
        f.write(struct.pack('<Q', len(h)) + h)
        for k in sorted(tensors): f.write(tensors[k].tobytes())
starts = {}
for run in ['lora', 'rslora-decay', 'schedule-clip-accumulate', 'masked-ragged', 'loraplus', 'block-diagonal', 'sgd', 'dpo', 'dora']:
    d = f'{out}/{run}'; os.makedirs(d, exist_ok=True)
    start = open(f'{runs}/{run}/start/adapter_model.safetensors', 'rb').read()
    same = next((n for n, s in starts.items() if s == start), None)
    if same is None:
        starts[run] = start; os.makedirs(d + '/start', exist_ok=True)
        for name in ('adapter_model.safetensors', 'adapter_config.json'): shutil.copyfile(f'{runs}/{run}/start/{name}', f'{d}/start/{name}'); os.chmod(f'{d}/start/{name}', 0o644)
    log = json.load(open(f'{runs}/{run}/log.json')); log['start'] = same or run
    json.dump(log, open(d + '/log.json', 'w'), separators=(',', ':'))
    json.dump(json.load(open(f'{runs}/{run}/data.json')), open(d + '/data.json', 'w'), separators=(',', ':'))
    write(d + '/end.safetensors', {k: t[::16] for k, t in read(f'{runs}/{run}/end/adapter_model.safetensors').items()})
