function __chunkdb_should_offer_completions_for_flags_or_options -a expected_commands
    set -l non_repeating_flags_or_options $argv[2..]
    set -l non_repeating_flags_or_options_absent 0
    set -l positional_index 0
    set -l commands
    __chunkdb_parse_tokens
    test "$commands" = "$expected_commands"; and return $non_repeating_flags_or_options_absent
end

function __chunkdb_should_offer_completions_for_positional -a expected_commands positional_index_comparison expected_positional_index
    set -l non_repeating_flags_or_options
    set -l non_repeating_flags_or_options_absent 0
    set -l positional_index 0
    set -l commands
    __chunkdb_parse_tokens
    test "$commands" = "$expected_commands" -a \( "$positional_index" "$positional_index_comparison" "$expected_positional_index" \)
end

function __chunkdb_parse_tokens -S
    set -l unparsed_tokens (__chunkdb_tokens -pc)
    switch $unparsed_tokens[1]
    case 'chunkdb'
        __chunkdb_parse_subcommand 0 'version' 'h/help'
        switch $unparsed_tokens[1]
        case 'info'
            __chunkdb_parse_subcommand 1 'json' 'q/quiet' 'buffered' 'version' 'h/help'
        case 'ls'
            __chunkdb_parse_subcommand 1 'json' 'q/quiet' 'buffered' 'namespace=' 'prefix=' 'min-size=' 'max-size=' 'older-than=' 'newer-than=' 'score-below=' 'pinned' 'sort=' 'reverse' 'l/long' 'limit=' 'offset=' 'version' 'h/help'
        case 'show'
            __chunkdb_parse_subcommand 2 'json' 'q/quiet' 'buffered' 'namespace=' 'variant=' 'digests' 'tokens' 'version' 'h/help'
        case 'find'
            __chunkdb_parse_subcommand 2 'json' 'q/quiet' 'buffered' 'namespace=' 'variant=' 'version' 'h/help'
        case 'variants'
            __chunkdb_parse_subcommand 1 'json' 'q/quiet' 'buffered' 'namespace=' 'prefix=' 'min=' 'limit=' 'version' 'h/help'
        case 'top'
            __chunkdb_parse_subcommand 1 'json' 'q/quiet' 'buffered' 'namespace=' 'limit=' 'version' 'h/help'
        case 'segments'
            __chunkdb_parse_subcommand 1 'json' 'q/quiet' 'buffered' 'version' 'h/help'
        case 'space'
            __chunkdb_parse_subcommand 1 'json' 'q/quiet' 'buffered' 'version' 'h/help'
        case 'policy'
            __chunkdb_parse_subcommand 1 'json' 'q/quiet' 'buffered' 'version' 'h/help'
        case 'report'
            __chunkdb_parse_subcommand 1 'json' 'q/quiet' 'buffered' 'o/output=' 'history=' 'version' 'h/help'
        case 'hexdump'
            __chunkdb_parse_subcommand 2 'json' 'q/quiet' 'buffered' 'namespace=' 'variant=' 'file=' 'rows=' 'tokens' 'version' 'h/help'
        case 'layout'
            __chunkdb_parse_subcommand 1 'json' 'version' 'h/help'
        case 'verify'
            __chunkdb_parse_subcommand 1 'json' 'q/quiet' 'buffered' 'namespace=' 'jobs=' 'resume=' 'version' 'h/help'
        case 'export'
            __chunkdb_parse_subcommand 3 'json' 'q/quiet' 'buffered' 'namespace=' 'variant=' 'tokens' 'raw' 'version' 'h/help'
        case 'dump'
            __chunkdb_parse_subcommand 3 'json' 'q/quiet' 'buffered' 'version' 'h/help'
        case 'import'
            __chunkdb_parse_subcommand -r 2 'json' 'q/quiet' 'buffered' 'namespace=' 'raw' 'tokens=' 'behind=+' 'position=' 'yes' 'dry-run' 'version' 'h/help'
        case 'load'
            __chunkdb_parse_subcommand 2 'json' 'q/quiet' 'buffered' 'namespace=' 'yes' 'dry-run' 'version' 'h/help'
        case 'rm'
            __chunkdb_parse_subcommand 2 'json' 'q/quiet' 'buffered' 'namespace=' 'variant=' 'yes' 'dry-run' 'version' 'h/help'
        case 'pin'
            __chunkdb_parse_subcommand 2 'json' 'q/quiet' 'buffered' 'namespace=' 'variant=' 'yes' 'dry-run' 'version' 'h/help'
        case 'unpin'
            __chunkdb_parse_subcommand 2 'json' 'q/quiet' 'buffered' 'namespace=' 'variant=' 'yes' 'dry-run' 'version' 'h/help'
        case 'set-capacity'
            __chunkdb_parse_subcommand 2 'json' 'q/quiet' 'buffered' 'yes' 'dry-run' 'version' 'h/help'
        case 'compact'
            __chunkdb_parse_subcommand 1 'json' 'q/quiet' 'buffered' 'yes' 'dry-run' 'version' 'h/help'
        case 'repair'
            __chunkdb_parse_subcommand 2 'json' 'q/quiet' 'buffered' 'version' 'h/help'
        case 'plan'
            __chunkdb_parse_subcommand 2 'json' 'q/quiet' 'buffered' 'version' 'h/help'
        case 'stats'
            __chunkdb_parse_subcommand 1 'json' 'q/quiet' 'buffered' 'file=' 'version' 'h/help'
        case 'watch'
            __chunkdb_parse_subcommand 1 'json' 'q/quiet' 'buffered' 'file=' 'interval=' 'count=' 'version' 'h/help'
        case 'trace'
            __chunkdb_parse_subcommand 3 'json' 'q/quiet' 'buffered' 'limit=' 'capacity=+' 'version' 'h/help'
        case 'bench'
            __chunkdb_parse_subcommand -r 1 'version' 'h/help'
        case 'demo'
            __chunkdb_parse_subcommand 0 'model=' 'corpus=' 'chunk-tokens=' 'ratio=' 'check-layer=' 'limit=' 'directory=' 'json' 'version' 'h/help'
        case 'help'
            __chunkdb_parse_subcommand -r 1 'version'
        end
    end
end

function __chunkdb_tokens
    if test (string split -m 1 -f 1 -- . "$FISH_VERSION") -gt 3
        commandline --tokens-raw $argv
    else
        commandline -o $argv
    end
end

function __chunkdb_parse_subcommand -S -a positional_count
    argparse -s r -- $argv
    set -l option_specs $argv[2..]
    set -l is_repeating_positional $_flag_r
    set -el _flag_r
    set -a commands $unparsed_tokens[1]
    set positional_index 0
    while true
        set -e unparsed_tokens[1]
        argparse -sn "$commands" $option_specs -- $unparsed_tokens 2> /dev/null
        set unparsed_tokens $argv
        set positional_index (math $positional_index + 1)
        for non_repeating_flag_or_option in $non_repeating_flags_or_options
            if set -ql "_flag_$(string replace -a - _ -- $non_repeating_flag_or_option)"
                set non_repeating_flags_or_options_absent 1
                break
            end
        end
        test (count $unparsed_tokens) -eq 0 -o \( -z "$is_repeating_positional" -a "$positional_index" -gt "$positional_count" \) && break
    end
end

function __chunkdb_complete_directories
    set -l token (commandline -t)
    string match -- '*/' $token
    set -l subdirs $token*/
    printf %s\n $subdirs
end

function __chunkdb_custom_completion
    set -x SAP_SHELL fish
    set -x SAP_SHELL_VERSION $FISH_VERSION
    set -l tokens (__chunkdb_tokens -p)
    if test -z "$(__chunkdb_tokens -t)"
        set -l index (count (__chunkdb_tokens -pc))
        set tokens $tokens[..$index] \'\' $tokens[(math $index + 1)..]
    end
    command $tokens[1] $argv $tokens
end

complete -c 'chunkdb' -f
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb" version' -l 'version' -d 'Show the version.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_positional "chunkdb" -eq 1' -fa 'info' -d 'The store at a glance: identity, space, namespaces, health.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_positional "chunkdb" -eq 1' -fa 'ls' -d 'The stored variants, by namespace, key and variant, or as --sort says.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_positional "chunkdb" -eq 1' -fa 'show' -d 'One chunk: its variants, where their planes stand, what a planner knows.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_positional "chunkdb" -eq 1' -fa 'find' -d 'All copies and tombstones of a chunk in the log, living or not.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_positional "chunkdb" -eq 1' -fa 'variants' -d 'Chunks stored in several forms: after which prefixes, how much they matter.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_positional "chunkdb" -eq 1' -fa 'top' -d 'The largest, hottest, coldest and most wasteful variants.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_positional "chunkdb" -eq 1' -fa 'segments' -d 'A map of the log: living, dead and unwritten bytes of each segment.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_positional "chunkdb" -eq 1' -fa 'space' -d 'Where the bytes are: planes, headers, dead, metadata; and the amplification.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_positional "chunkdb" -eq 1' -fa 'policy' -d 'Under which policy the scores were made, and how they are spread.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_positional "chunkdb" -eq 1' -fa 'report' -d 'Writes one self-contained HTML file: segments, space, distributions.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_positional "chunkdb" -eq 1' -fa 'hexdump' -d 'The headers of a chunk\'s records, or a file, field by field.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_positional "chunkdb" -eq 1' -fa 'layout' -d 'The on-disk format, field by field; needs no store.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_positional "chunkdb" -eq 1' -fa 'verify' -d 'Reads and checks everything that is stored; exit code 1 on damage.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_positional "chunkdb" -eq 1' -fa 'export' -d 'Writes one variant\'s planes to a new Safetensors file, verified.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_positional "chunkdb" -eq 1' -fa 'dump' -d 'Writes a namespace\'s variants as files; goes on where it stopped.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_positional "chunkdb" -eq 1' -fa 'import' -d 'Stores variants from Safetensors files that `export --tokens` made.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_positional "chunkdb" -eq 1' -fa 'load' -d 'Stores the variants of a directory that `dump` made; goes on where it stopped.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_positional "chunkdb" -eq 1' -fa 'rm' -d 'Removes a chunk or one of its variants; durable when it returns.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_positional "chunkdb" -eq 1' -fa 'pin' -d 'Pins a chunk\'s variants: no shortage takes them.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_positional "chunkdb" -eq 1' -fa 'unpin' -d 'Makes a chunk\'s pinned variants evictable again.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_positional "chunkdb" -eq 1' -fa 'set-capacity' -d 'Gives the store another budget; a smaller one forgets until files fit.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_positional "chunkdb" -eq 1' -fa 'compact' -d 'Copies together what lives in half-dead segments; gives the rest back.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_positional "chunkdb" -eq 1' -fa 'repair' -d 'Copies what verifies into a new store, and lists what does not.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_positional "chunkdb" -eq 1' -fa 'plan' -d 'What a prompt would reuse of the store, and what it would recompute.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_positional "chunkdb" -eq 1' -fa 'stats' -d 'The counters of the process that has the store open, as it last wrote them.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_positional "chunkdb" -eq 1' -fa 'watch' -d 'Rates of the process that has the store open, line by line, until Ctrl-C.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_positional "chunkdb" -eq 1' -fa 'trace' -d 'What a store was asked for: shown, replayed, and tried at other capacities.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_positional "chunkdb" -eq 1' -fa 'bench' -d 'Runs chunkdb-bench, the benchmark, with the words that follow.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_positional "chunkdb" -eq 1' -fa 'demo' -d 'Stores documents\' KV, reopens the store, answers questions three ways.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_positional "chunkdb" -eq 1' -fa 'help' -d 'Show subcommand help information.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_positional "chunkdb info" -eq 1' -fa '(__chunkdb_complete_directories)'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb info" json' -l 'json' -d 'Print one JSON object instead of text.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb info" q quiet' -s 'q' -l 'quiet' -d 'Print nothing but errors; the exit code tells.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb info" buffered' -l 'buffered' -d 'Read through the page cache, for file systems without direct I/O.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb info" version' -l 'version' -d 'Show the version.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb info" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_positional "chunkdb ls" -eq 1' -fa '(__chunkdb_complete_directories)'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb ls" json' -l 'json' -d 'Print one JSON object instead of text.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb ls" q quiet' -s 'q' -l 'quiet' -d 'Print nothing but errors; the exit code tells.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb ls" buffered' -l 'buffered' -d 'Read through the page cache, for file systems without direct I/O.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb ls" namespace' -l 'namespace' -d 'Only this namespace: its name, or # and its number.' -rfka ''
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb ls" prefix' -l 'prefix' -d 'Only keys that begin with these hexadecimal digits.' -rfka ''
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb ls" min-size' -l 'min-size' -d 'Only variants of at least so many bytes on disk.' -rfka ''
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb ls" max-size' -l 'max-size' -d 'Only variants of at most so many bytes on disk.' -rfka ''
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb ls" older-than' -l 'older-than' -d 'Only what was put longer ago.' -rfka ''
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb ls" newer-than' -l 'newer-than' -d 'Only what was put since.' -rfka ''
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb ls" score-below' -l 'score-below' -d 'Only what scores less than this, or has no score yet.' -rfka ''
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb ls" pinned' -l 'pinned' -d 'Only what is pinned.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb ls" sort' -l 'sort' -d 'By key, size, tokens, age, uses, used (last) or score; all but key from the largest, the oldest, the most used.' -rfka 'key size tokens age uses used score'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb ls" reverse' -l 'reverse' -d 'The other way round.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb ls" l long' -l 'long' -s 'l' -d 'Also when it was put and how it is used.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb ls" limit' -l 'limit' -d 'At most so many variants; how many more there are is said.' -rfka ''
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb ls" offset' -l 'offset' -d 'Leave out the first so many: the next page.' -rfka ''
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb ls" version' -l 'version' -d 'Show the version.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb ls" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_positional "chunkdb show" -eq 1' -fa '(__chunkdb_complete_directories)'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb show" json' -l 'json' -d 'Print one JSON object instead of text.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb show" q quiet' -s 'q' -l 'quiet' -d 'Print nothing but errors; the exit code tells.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb show" buffered' -l 'buffered' -d 'Read through the page cache, for file systems without direct I/O.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb show" namespace' -l 'namespace' -d 'Only in this namespace: its name, or # and its number.' -rfka ''
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb show" variant' -l 'variant' -d 'Only this variant: 16 hexadecimal digits; zeros for the standalone one.' -rfka ''
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb show" digests' -l 'digests' -d 'Every digest slot.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb show" tokens' -l 'tokens' -d 'The token ids, which are the text in clear, and the scores of each.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb show" version' -l 'version' -d 'Show the version.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb show" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_positional "chunkdb find" -eq 1' -fa '(__chunkdb_complete_directories)'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb find" json' -l 'json' -d 'Print one JSON object instead of text.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb find" q quiet' -s 'q' -l 'quiet' -d 'Print nothing but errors; the exit code tells.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb find" buffered' -l 'buffered' -d 'Read through the page cache, for file systems without direct I/O.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb find" namespace' -l 'namespace' -d 'Only in this namespace: its name, or # and its number.' -rfka ''
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb find" variant' -l 'variant' -d 'Only this variant: 16 hexadecimal digits; zeros for the standalone one.' -rfka ''
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb find" version' -l 'version' -d 'Show the version.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb find" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_positional "chunkdb variants" -eq 1' -fa '(__chunkdb_complete_directories)'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb variants" json' -l 'json' -d 'Print one JSON object instead of text.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb variants" q quiet' -s 'q' -l 'quiet' -d 'Print nothing but errors; the exit code tells.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb variants" buffered' -l 'buffered' -d 'Read through the page cache, for file systems without direct I/O.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb variants" namespace' -l 'namespace' -d 'Only this namespace: its name, or # and its number.' -rfka ''
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb variants" prefix' -l 'prefix' -d 'Only keys that begin with these hexadecimal digits.' -rfka ''
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb variants" min' -l 'min' -d 'Only chunks of at least so many forms.' -rfka ''
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb variants" limit' -l 'limit' -d 'At most so many chunks; how many more there are is said.' -rfka ''
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb variants" version' -l 'version' -d 'Show the version.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb variants" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_positional "chunkdb top" -eq 1' -fa '(__chunkdb_complete_directories)'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb top" json' -l 'json' -d 'Print one JSON object instead of text.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb top" q quiet' -s 'q' -l 'quiet' -d 'Print nothing but errors; the exit code tells.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb top" buffered' -l 'buffered' -d 'Read through the page cache, for file systems without direct I/O.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb top" namespace' -l 'namespace' -d 'Only this namespace: its name, or # and its number.' -rfka ''
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb top" limit' -l 'limit' -d 'So many of each.' -rfka ''
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb top" version' -l 'version' -d 'Show the version.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb top" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_positional "chunkdb segments" -eq 1' -fa '(__chunkdb_complete_directories)'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb segments" json' -l 'json' -d 'Print one JSON object instead of text.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb segments" q quiet' -s 'q' -l 'quiet' -d 'Print nothing but errors; the exit code tells.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb segments" buffered' -l 'buffered' -d 'Read through the page cache, for file systems without direct I/O.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb segments" version' -l 'version' -d 'Show the version.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb segments" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_positional "chunkdb space" -eq 1' -fa '(__chunkdb_complete_directories)'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb space" json' -l 'json' -d 'Print one JSON object instead of text.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb space" q quiet' -s 'q' -l 'quiet' -d 'Print nothing but errors; the exit code tells.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb space" buffered' -l 'buffered' -d 'Read through the page cache, for file systems without direct I/O.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb space" version' -l 'version' -d 'Show the version.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb space" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_positional "chunkdb policy" -eq 1' -fa '(__chunkdb_complete_directories)'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb policy" json' -l 'json' -d 'Print one JSON object instead of text.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb policy" q quiet' -s 'q' -l 'quiet' -d 'Print nothing but errors; the exit code tells.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb policy" buffered' -l 'buffered' -d 'Read through the page cache, for file systems without direct I/O.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb policy" version' -l 'version' -d 'Show the version.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb policy" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_positional "chunkdb report" -eq 1' -fa '(__chunkdb_complete_directories)'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb report" json' -l 'json' -d 'Print one JSON object instead of text.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb report" q quiet' -s 'q' -l 'quiet' -d 'Print nothing but errors; the exit code tells.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb report" buffered' -l 'buffered' -d 'Read through the page cache, for file systems without direct I/O.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb report" o output' -s 'o' -l 'output' -d 'The file to make.' -rF
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb report" history' -l 'history' -d 'What `watch --json` printed of this store.' -rF
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb report" version' -l 'version' -d 'Show the version.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb report" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_positional "chunkdb hexdump" -eq 1' -fa '(__chunkdb_complete_directories)'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb hexdump" json' -l 'json' -d 'Print one JSON object instead of text.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb hexdump" q quiet' -s 'q' -l 'quiet' -d 'Print nothing but errors; the exit code tells.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb hexdump" buffered' -l 'buffered' -d 'Read through the page cache, for file systems without direct I/O.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb hexdump" namespace' -l 'namespace' -d 'Only in this namespace: its name, or # and its number.' -rfka ''
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb hexdump" variant' -l 'variant' -d 'Only this variant: 16 hexadecimal digits; zeros for the standalone one.' -rfka ''
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb hexdump" file' -l 'file' -d 'A file of the store instead: superblock, journal-0, checkpoint, segments/…' -rfka ''
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb hexdump" rows' -l 'rows' -d 'At most so many rows of a table; how many more there are is said.' -rfka ''
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb hexdump" tokens' -l 'tokens' -d 'Token ids as well, which are the text in clear.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb hexdump" version' -l 'version' -d 'Show the version.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb hexdump" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb layout" json' -l 'json' -d 'Print one JSON object instead of text.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb layout" version' -l 'version' -d 'Show the version.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb layout" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_positional "chunkdb verify" -eq 1' -fa '(__chunkdb_complete_directories)'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb verify" json' -l 'json' -d 'Print one JSON object instead of text.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb verify" q quiet' -s 'q' -l 'quiet' -d 'Print nothing but errors; the exit code tells.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb verify" buffered' -l 'buffered' -d 'Read through the page cache, for file systems without direct I/O.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb verify" namespace' -l 'namespace' -d 'Only this namespace: its name, or # and its number.' -rfka ''
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb verify" jobs' -l 'jobs' -d 'Variants on their way at once, 1 to 64; digests take all processors.' -rfka ''
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb verify" resume' -l 'resume' -d 'Keep in this file how far it has come, and go on from there.' -rF
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb verify" version' -l 'version' -d 'Show the version.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb verify" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_positional "chunkdb export" -eq 1' -fa '(__chunkdb_complete_directories)'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb export" json' -l 'json' -d 'Print one JSON object instead of text.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb export" q quiet' -s 'q' -l 'quiet' -d 'Print nothing but errors; the exit code tells.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb export" buffered' -l 'buffered' -d 'Read through the page cache, for file systems without direct I/O.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb export" namespace' -l 'namespace' -d 'Only in this namespace: its name, or # and its number.' -rfka ''
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb export" variant' -l 'variant' -d 'Only this variant: 16 hexadecimal digits; zeros for the standalone one.' -rfka ''
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_positional "chunkdb export" -eq 2' -F
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb export" tokens' -l 'tokens' -d 'With the token ids, which are the text in clear: the file can be imported then.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb export" raw' -l 'raw' -d 'Planes alone, as LMCache\'s disk has them; token ids go to FILE.json.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb export" version' -l 'version' -d 'Show the version.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb export" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_positional "chunkdb dump" -eq 1' -fa '(__chunkdb_complete_directories)'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb dump" json' -l 'json' -d 'Print one JSON object instead of text.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb dump" q quiet' -s 'q' -l 'quiet' -d 'Print nothing but errors; the exit code tells.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb dump" buffered' -l 'buffered' -d 'Read through the page cache, for file systems without direct I/O.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_positional "chunkdb dump" -eq 2' -fa '(__chunkdb_complete_directories)'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb dump" version' -l 'version' -d 'Show the version.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb dump" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_positional "chunkdb import" -eq 1' -fa '(__chunkdb_complete_directories)'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb import" json' -l 'json' -d 'Print one JSON object instead of text.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb import" q quiet' -s 'q' -l 'quiet' -d 'Print nothing but errors; the exit code tells.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb import" buffered' -l 'buffered' -d 'Read through the page cache, for file systems without direct I/O.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_positional "chunkdb import" -ge 2' -fa '(for p in (string match -e -- \'*/\' (commandline -t);or printf \n)*.\'safetensors\';printf %s\n $p;end;__fish_complete_directories (commandline -t) \'\')'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb import" namespace' -l 'namespace' -d 'Into this namespace, not the one that a file names.' -rfka ''
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb import" raw' -l 'raw' -d 'A raw chunk: LMCache\'s [2, layers, tokens, hidden], without a header.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb import" tokens' -l 'tokens' -d 'Of a raw chunk: its token ids, a JSON list.' -rF
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb import"' -l 'behind' -d 'Of a raw chunk: the chunks before it, whole keys.' -rfka ''
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb import" position' -l 'position' -d 'Of a raw chunk: the position of its first token.' -rfka ''
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb import" yes' -l 'yes' -d 'Do it without asking; needed where nobody can be asked.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb import" dry-run' -l 'dry-run' -d 'Say what would be done, and do nothing.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb import" version' -l 'version' -d 'Show the version.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb import" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_positional "chunkdb load" -eq 1' -fa '(__chunkdb_complete_directories)'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb load" json' -l 'json' -d 'Print one JSON object instead of text.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb load" q quiet' -s 'q' -l 'quiet' -d 'Print nothing but errors; the exit code tells.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb load" buffered' -l 'buffered' -d 'Read through the page cache, for file systems without direct I/O.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_positional "chunkdb load" -eq 2' -fa '(__chunkdb_complete_directories)'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb load" namespace' -l 'namespace' -d 'Into this namespace, not the one that a file names.' -rfka ''
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb load" yes' -l 'yes' -d 'Do it without asking; needed where nobody can be asked.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb load" dry-run' -l 'dry-run' -d 'Say what would be done, and do nothing.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb load" version' -l 'version' -d 'Show the version.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb load" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_positional "chunkdb rm" -eq 1' -fa '(__chunkdb_complete_directories)'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb rm" json' -l 'json' -d 'Print one JSON object instead of text.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb rm" q quiet' -s 'q' -l 'quiet' -d 'Print nothing but errors; the exit code tells.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb rm" buffered' -l 'buffered' -d 'Read through the page cache, for file systems without direct I/O.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb rm" namespace' -l 'namespace' -d 'Only in this namespace: its name, or # and its number.' -rfka ''
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb rm" variant' -l 'variant' -d 'Only this variant: 16 hexadecimal digits; zeros for the standalone one.' -rfka ''
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb rm" yes' -l 'yes' -d 'Do it without asking; needed where nobody can be asked.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb rm" dry-run' -l 'dry-run' -d 'Say what would be done, and do nothing.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb rm" version' -l 'version' -d 'Show the version.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb rm" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_positional "chunkdb pin" -eq 1' -fa '(__chunkdb_complete_directories)'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb pin" json' -l 'json' -d 'Print one JSON object instead of text.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb pin" q quiet' -s 'q' -l 'quiet' -d 'Print nothing but errors; the exit code tells.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb pin" buffered' -l 'buffered' -d 'Read through the page cache, for file systems without direct I/O.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb pin" namespace' -l 'namespace' -d 'Only in this namespace: its name, or # and its number.' -rfka ''
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb pin" variant' -l 'variant' -d 'Only this variant: 16 hexadecimal digits; zeros for the standalone one.' -rfka ''
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb pin" yes' -l 'yes' -d 'Do it without asking; needed where nobody can be asked.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb pin" dry-run' -l 'dry-run' -d 'Say what would be done, and do nothing.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb pin" version' -l 'version' -d 'Show the version.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb pin" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_positional "chunkdb unpin" -eq 1' -fa '(__chunkdb_complete_directories)'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb unpin" json' -l 'json' -d 'Print one JSON object instead of text.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb unpin" q quiet' -s 'q' -l 'quiet' -d 'Print nothing but errors; the exit code tells.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb unpin" buffered' -l 'buffered' -d 'Read through the page cache, for file systems without direct I/O.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb unpin" namespace' -l 'namespace' -d 'Only in this namespace: its name, or # and its number.' -rfka ''
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb unpin" variant' -l 'variant' -d 'Only this variant: 16 hexadecimal digits; zeros for the standalone one.' -rfka ''
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb unpin" yes' -l 'yes' -d 'Do it without asking; needed where nobody can be asked.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb unpin" dry-run' -l 'dry-run' -d 'Say what would be done, and do nothing.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb unpin" version' -l 'version' -d 'Show the version.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb unpin" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_positional "chunkdb set-capacity" -eq 1' -fa '(__chunkdb_complete_directories)'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb set-capacity" json' -l 'json' -d 'Print one JSON object instead of text.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb set-capacity" q quiet' -s 'q' -l 'quiet' -d 'Print nothing but errors; the exit code tells.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb set-capacity" buffered' -l 'buffered' -d 'Read through the page cache, for file systems without direct I/O.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb set-capacity" yes' -l 'yes' -d 'Do it without asking; needed where nobody can be asked.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb set-capacity" dry-run' -l 'dry-run' -d 'Say what would be done, and do nothing.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb set-capacity" version' -l 'version' -d 'Show the version.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb set-capacity" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_positional "chunkdb compact" -eq 1' -fa '(__chunkdb_complete_directories)'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb compact" json' -l 'json' -d 'Print one JSON object instead of text.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb compact" q quiet' -s 'q' -l 'quiet' -d 'Print nothing but errors; the exit code tells.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb compact" buffered' -l 'buffered' -d 'Read through the page cache, for file systems without direct I/O.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb compact" yes' -l 'yes' -d 'Do it without asking; needed where nobody can be asked.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb compact" dry-run' -l 'dry-run' -d 'Say what would be done, and do nothing.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb compact" version' -l 'version' -d 'Show the version.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb compact" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_positional "chunkdb repair" -eq 1' -fa '(__chunkdb_complete_directories)'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb repair" json' -l 'json' -d 'Print one JSON object instead of text.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb repair" q quiet' -s 'q' -l 'quiet' -d 'Print nothing but errors; the exit code tells.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb repair" buffered' -l 'buffered' -d 'Read through the page cache, for file systems without direct I/O.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb repair" version' -l 'version' -d 'Show the version.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb repair" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_positional "chunkdb plan" -eq 1' -fa '(__chunkdb_complete_directories)'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb plan" json' -l 'json' -d 'Print one JSON object instead of text.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb plan" q quiet' -s 'q' -l 'quiet' -d 'Print nothing but errors; the exit code tells.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb plan" buffered' -l 'buffered' -d 'Read through the page cache, for file systems without direct I/O.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_positional "chunkdb plan" -eq 2' -fa '(for p in (string match -e -- \'*/\' (commandline -t);or printf \n)*.\'json\';printf %s\n $p;end;__fish_complete_directories (commandline -t) \'\')'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb plan" version' -l 'version' -d 'Show the version.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb plan" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_positional "chunkdb stats" -eq 1' -fa '(__chunkdb_complete_directories)'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb stats" json' -l 'json' -d 'Print one JSON object instead of text.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb stats" q quiet' -s 'q' -l 'quiet' -d 'Print nothing but errors; the exit code tells.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb stats" buffered' -l 'buffered' -d 'Read through the page cache, for file systems without direct I/O.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb stats" file' -l 'file' -d 'The file that the process writes; otherwise PATH with .statistics behind it.' -rF
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb stats" version' -l 'version' -d 'Show the version.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb stats" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_positional "chunkdb watch" -eq 1' -fa '(__chunkdb_complete_directories)'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb watch" json' -l 'json' -d 'Print one JSON object instead of text.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb watch" q quiet' -s 'q' -l 'quiet' -d 'Print nothing but errors; the exit code tells.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb watch" buffered' -l 'buffered' -d 'Read through the page cache, for file systems without direct I/O.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb watch" file' -l 'file' -d 'The file that the process writes; otherwise PATH with .statistics behind it.' -rF
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb watch" interval' -l 'interval' -d 'Seconds from line to line, at least 0.1.' -rfka ''
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb watch" count' -l 'count' -d 'Lines to print; without it, until Ctrl-C.' -rfka ''
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb watch" version' -l 'version' -d 'Show the version.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb watch" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_positional "chunkdb trace" -eq 1' -fa '(__chunkdb_complete_directories)'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb trace" json' -l 'json' -d 'Print one JSON object instead of text.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb trace" q quiet' -s 'q' -l 'quiet' -d 'Print nothing but errors; the exit code tells.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb trace" buffered' -l 'buffered' -d 'Read through the page cache, for file systems without direct I/O.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_positional "chunkdb trace" -eq 2' -fka 'record show replay what-if'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_positional "chunkdb trace" -eq 3' -F
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb trace" limit' -l 'limit' -d 'Replay only the first so many.' -rfka ''
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb trace"' -l 'capacity' -d 'Of what-if: capacities; the store\'s own otherwise.' -rfka ''
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb trace" version' -l 'version' -d 'Show the version.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb trace" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb bench" version' -l 'version' -d 'Show the version.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb bench" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb demo" model' -l 'model' -d 'A Llama-layout checkpoint: a directory with config.json and model.safetensors.' -rfka ''
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb demo" corpus' -l 'corpus' -d 'Documents and questions, as token ids.' -rfka ''
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb demo" chunk-tokens' -l 'chunk-tokens' -d 'Tokens in a chunk, for documents that come uncut.' -rfka ''
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb demo" ratio' -l 'ratio' -d 'The share of reused tokens to recompute, 0 to 1.' -rfka ''
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb demo" check-layer' -l 'check-layer' -d 'The layer whose deviation picks those tokens, counted from 0; measured per model.' -rfka ''
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb demo" limit' -l 'limit' -d 'Use only the first so many questions.' -rfka ''
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb demo" directory' -l 'directory' -d 'Where to put the store; a temporary directory, removed at the end, otherwise.' -rfka ''
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb demo" json' -l 'json' -d 'Print one JSON object instead of text.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb demo" version' -l 'version' -d 'Show the version.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb demo" h help' -s 'h' -l 'help' -d 'Show help information.'
complete -c 'chunkdb' -n '__chunkdb_should_offer_completions_for_flags_or_options "chunkdb help" version' -l 'version' -d 'Show the version.'
