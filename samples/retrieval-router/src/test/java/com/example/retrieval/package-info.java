@NullMarked
package com.example.retrieval;

import org.jspecify.annotations.NullMarked;
