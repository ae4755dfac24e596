/** Fine-tunes adapters from the command line. */
@NullMarked
package dev.lorikeet.cli.train;

import org.jspecify.annotations.NullMarked;
