"""Train one LoRA adapter per style on the tiny base model and save each in PEFT format; then write reference outputs."""
from tinylm import *
CORPUS, OUT, MINUTES = sys.argv[2], sys.argv[3], float(sys.argv[4])
# style: rank, alpha, stored as
STY = {'scripture':(8,16,'BF16'),'voyage':(16,32,'F32'),'glossary':(4,16,'BF16'),'jargon':(8,8,'BF16')}
ads = {}; T, B = 128, 16
for s, (r, alpha, dt) in STY.items():
    tr, he = passages(CORPUS, s); random.seed(2)
    if sum(map(len, tr)) > 3_000_000: tr = random.sample(tr, int(len(tr) * 3_000_000 / sum(map(len, tr))))
    tr, he = pack(tr), pack(he)[:16001]
    w = {(l,p):(torch.randn(r,i)/math.sqrt(i), torch.zeros(o,r)) for l in range(L) for p,(_,i,o) in PROJ.items()}
    for a, b in w.values(): a.requires_grad_(); b.requires_grad_()
    ad = {'w': w, 's': lambda l, p, s_=alpha/r: s_}; ps = [x for ab in w.values() for x in ab]; opt = torch.optim.AdamW(ps, lr=5e-3, weight_decay=0.0)
    b0 = loss_on(he, None); t0 = time.time(); st = 0
    while (f := (time.time()-t0)/60/MINUTES) < 1:
        for g in opt.param_groups: g['lr'] = 5e-3*min(1,(st+1)/15)*(1-f)
        x, y = batch(tr, B, T); loss = F.cross_entropy(forward(x, ad).reshape(-1,V), y.reshape(-1)); opt.zero_grad(); loss.backward(); torch.nn.utils.clip_grad_norm_(ps,1.0); opt.step(); st += 1
    print(s, 'steps', st, 'held-out loss: base', round(b0,3), 'adapted', round(loss_on(he, ad),3), flush=True)
    p = f'{OUT}/{s}'; os.makedirs(p, exist_ok=True)
    save(p+'/adapter_model.safetensors', {f'base_model.model.model.layers.{l}.{PROJ[q][0]}.{q}.lora_{n}.weight': x for (l,q),ab in w.items() for n,x in zip('AB',ab)}, dt)
    json.dump({"peft_type":"LORA","task_type":"CAUSAL_LM","base_model_name_or_path":"tiny-llama","r":r,"lora_alpha":alpha,"lora_dropout":0.0,"bias":"none","use_rslora":False,"use_dora":False,"fan_in_fan_out":False,"inference_mode":True,"target_modules":list(PROJ),"rank_pattern":{},"alpha_pattern":{},"modules_to_save":None}, open(p+'/adapter_config.json','w'), indent=1)
    saved = load(p+'/adapter_model.safetensors')
    ads[s] = {'w': {(l,q):(saved[f'base_model.model.model.layers.{l}.{PROJ[q][0]}.{q}.lora_A.weight'], saved[f'base_model.model.model.layers.{l}.{PROJ[q][0]}.{q}.lora_B.weight']) for (l,q) in w}, 's': lambda l, p, s_=alpha/r: s_}
ref = []
with torch.no_grad():
    for prompt in ['The people of the', 'In the beginning', 'The ship', 'water (noun): ']:
        ids = [1] + encode(prompt)
        for name in [None] + list(STY):
            a = ads.get(name); lg = forward(torch.tensor([ids]), a)[0,-1]; out = list(ids)
            for _ in range(32):
                best = forward(torch.tensor([out]), a)[0,-1].topk(2)
                if best.values[0] - best.values[1] < 0.01: break # a near tie: rounding decides there
                out.append(best.indices[0].item())
                if out[-1] == 2: break
            ref.append({'prompt': prompt, 'prompt_ids': ids, 'adapter': name, 'last_logits': [round(v, 5) for v in lg.tolist()], 'greedy_ids': out[len(ids):], 'greedy_text': decode(out[len(ids):])})
            print(f'[{name}] {prompt}|{decode(out[len(ids):])}', flush=True)
json.dump(ref, open(OUT + '/../reference.json', 'w'))
